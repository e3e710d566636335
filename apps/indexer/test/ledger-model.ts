import { eventTopics, type SequencedEventType } from '../../../libs/contracts/src/event.codec.js';
import { keccak256 } from '../../../libs/platform/src/keccak.js';
import { foldHead, leafOf, ZERO_HEAD } from '../../../libs/proof/src/head.js';
import type { FetchedLog } from '../src/follow/chain-source.js';

/** A seeded generator (mulberry32), so that a failing tree can be made again. */
export class Random {
  constructor(private state: number) {}

  /** In [0, bound). */
  int(bound: number): number {
    this.state = (this.state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.state ^ (this.state >>> 15), 1 | this.state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % bound;
  }

  chance(percent: number): boolean {
    return this.int(100) < percent;
  }

  pick<T>(items: readonly T[]): T {
    return items[this.int(items.length)] as T;
  }

  bytes(length: number): Buffer {
    const bytes = Buffer.alloc(length);
    for (let index = 0; index < length; index++) bytes[index] = this.int(256);
    return bytes;
  }
}

export interface ModelRecord {
  id: Buffer;
  sequence: bigint;
  head: Buffer;
  version: number;
  contentHash: Buffer;
  parties: Buffer[];
  grants: Buffer[];
  transfers: Buffer[];
}

/** What the ledger contract would emit: random acts that build on each other, their frames and heads right. Immutable per block. */
export class LedgerModel {
  private constructor(
    readonly contract: Buffer,
    private sequence: bigint,
    private head: Buffer,
    private readonly records: Map<string, ModelRecord>,
    private readonly actors: Buffer[],
  ) {}

  static empty(contract: Buffer): LedgerModel {
    return new LedgerModel(contract, 0n, ZERO_HEAD, new Map(), []);
  }

  fork(): LedgerModel {
    const records = new Map([...this.records].map(([id, record]) => [id, { ...record }]));
    return new LedgerModel(this.contract, this.sequence, this.head, records, [...this.actors]);
  }

  /** Logs of one `execute` with some random acts. */
  execute(random: Random, acts: number): FetchedLog[] {
    const logs: FetchedLog[] = [];
    for (let act = 0; act < acts; act++) logs.push(this.act(random));
    if (random.chance(15)) logs.push(this.notice(random));
    logs.push(this.headLog());
    return logs;
  }

  headLog(): FetchedLog {
    return { address: this.contract, topics: [eventTopics.Head], data: words(this.sequence, this.head) };
  }

  /** One act with its event; public, so that a test can have a contract that errs. */
  emit(
    random: Random,
    type: SequencedEventType,
    own: (bigint | number | boolean | Buffer)[],
    record?: ModelRecord,
    error: { sequence?: bigint; recordSequence?: bigint; recordHead?: Buffer } = {},
  ): FetchedLog {
    this.sequence += 1n;
    const sequence = error.sequence ?? this.sequence;
    if (record) record.sequence += 1n;
    const recordSequence = error.recordSequence ?? record?.sequence ?? 0n;
    const recordHead = error.recordHead ?? record?.head ?? ZERO_HEAD;
    const actor = this.actors.length > 0 ? random.pick(this.actors) : Buffer.alloc(20, 9);
    const log = {
      address: this.contract,
      topics: [eventTopics[type], words(sequence), record?.id ?? Buffer.alloc(32), words(actor)],
      data: words(random.bytes(32), recordSequence, recordHead, random.bytes(32), 1, ...own),
    };
    const leaf = leafOf(log);
    if (record) record.head = foldHead(recordHead, recordSequence, leaf);
    this.head = foldHead(this.head, sequence, leaf);
    return log;
  }

  anyRecord(random: Random): ModelRecord | undefined {
    return this.records.size === 0 ? undefined : random.pick([...this.records.values()]);
  }

  open(random: Random): FetchedLog {
    const id = random.bytes(32);
    const contentHash = random.bytes(32);
    const record: ModelRecord = {
      id,
      sequence: 0n,
      head: ZERO_HEAD,
      version: 1,
      contentHash,
      parties: [],
      grants: [],
      transfers: [],
    };
    this.records.set(id.toString('hex'), record);
    const origin = random.chance(30) ? random.bytes(32) : Buffer.alloc(32);
    return this.emit(random, 'RecordOpened', [1, contentHash, 1, random.bytes(20), origin, Buffer.alloc(32)], record);
  }

  private act(random: Random): FetchedLog {
    const record = this.anyRecord(random);
    if (!record || random.chance(12)) return this.open(random);
    if (random.chance(35))
      return this.emit(random, 'RecordQueried', [record.version, 1, 600, Buffer.alloc(32)], record);
    return this.change(random, record);
  }

  private change(random: Random, record: ModelRecord): FetchedLog {
    const addTo = (list: Buffer[], item: Buffer) => {
      list.push(item);
      return item;
    };
    switch (random.int(12)) {
      case 0: {
        const previous = record.contentHash;
        record.contentHash = random.bytes(32);
        record.version++;
        return this.emit(random, 'RecordAmended', [record.version, record.contentHash, previous], record);
      }
      case 1: {
        record.parties = [...record.parties];
        return this.emit(random, 'RelationStarted', [addTo(record.parties, random.bytes(20)), 0n], record);
      }
      case 2: {
        const party = record.parties[0];
        return party ? this.emit(random, 'RelationEnded', [party], record) : this.denied(random, record);
      }
      case 3: {
        record.grants = [...record.grants];
        const own = [addTo(record.grants, random.bytes(32)), random.bytes(20), 2, 32, 0, 1n, 2n, random.bytes(32)];
        return this.emit(random, 'AccessGranted', own, record);
      }
      case 4: {
        const grant = record.grants.at(-1);
        return grant ? this.emit(random, 'AccessRevoked', [grant, 1], record) : this.denied(random, record);
      }
      case 5: {
        record.transfers = [...record.transfers];
        const own = [
          addTo(record.transfers, random.bytes(32)),
          2,
          record.version,
          record.contentHash,
          0,
          99n,
          Buffer.alloc(32),
        ];
        return this.emit(random, 'TransferProposed', own, record);
      }
      case 6: {
        const transfer = record.transfers.at(-1);
        return transfer
          ? this.emit(random, 'TransferAccepted', [transfer, random.bytes(32)], record)
          : this.denied(random, record);
      }
      case 7: {
        const transfer = record.transfers.at(-1);
        return transfer ? this.emit(random, 'TransferCompleted', [transfer], record) : this.denied(random, record);
      }
      case 8: {
        const account = random.bytes(20);
        this.actors.push(account);
        return this.emit(random, 'ActorRegistered', [account, 1, 0]);
      }
      case 9: {
        if (this.actors.length === 0) return this.denied(random, record);
        const member = random.pick(this.actors);
        return random.chance(50)
          ? this.emit(random, 'ActorStatusChanged', [member, random.chance(50)])
          : this.emit(random, 'TeamMemberChanged', [Buffer.alloc(20, 7), member, random.chance(60)]);
      }
      case 10: {
        const heads = [random.bytes(32), random.bytes(32), random.bytes(32), random.bytes(32)] as const;
        return this.emit(random, 'LedgerAnchored', [7n, 9n, heads[0], 1n, heads[1], 2n, heads[2], 3n, heads[3]]);
      }
      default:
        return this.denied(random, record);
    }
  }

  private denied(random: Random, record: ModelRecord): FetchedLog {
    return this.emit(random, 'AccessDenied', [5, 12], random.chance(80) ? record : undefined);
  }

  private notice(random: Random): FetchedLog {
    const requestId = random.bytes(32);
    return random.chance(50)
      ? { address: this.contract, topics: [eventTopics.Duplicate, requestId], data: words(0, 1n) }
      : { address: this.contract, topics: [eventTopics.BadSignature, words(random.bytes(20))], data: words(0) };
  }
}

/** ABI words: 32 bytes as they are, addresses and numbers right-aligned. */
export function words(...values: (bigint | number | boolean | Buffer)[]): Buffer {
  return Buffer.concat(
    values.map((value) => {
      if (Buffer.isBuffer(value)) return value.length === 32 ? value : Buffer.concat([Buffer.alloc(12), value]);
      const word = Buffer.alloc(32);
      word.writeBigUInt64BE(BigInt(value), 24);
      return word;
    }),
  );
}

export function modelContract(): Buffer {
  return keccak256(Buffer.from('ledger')).subarray(12);
}
