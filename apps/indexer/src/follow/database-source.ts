import type { RpcCall, RpcHead, RpcOutcome, RpcTransport } from '../../../../libs/chain-client/src/rpc/transport.js';
import { toHex } from '../../../../libs/platform/src/bytes.js';
import type { FetchedBlock } from './chain-source.js';
import { bytesOf } from './raw-source.js';
import { MalformedAnswer, parseHead } from './rpc-block.js';
import { joinStoredBlock } from './stored-block.js';

/** What was read of a range. */
interface Found {
  hashes: Buffer[];
  /** Header, body and receipts of each block in turn. */
  parts: Buffer[];
  /** What the node calls its last block. */
  head: RpcHead;
}

/**
 * Ranges of blocks as geth keeps them, by debug_dbGet and debug_dbAncient: half its work of making raw blocks and receipts of that, and no
 * blooms on the way, which follow from the logs (decision 026). Keys and tables: go-ethereum, core/rawdb/schema.go and ancient_scheme.go.
 */
export class DatabaseSource {
  /** Whether the next range is looked for first in the files to which geth moves blocks that are 90,000 behind its head. */
  private inFiles = false;

  constructor(private readonly rpc: RpcTransport) {}

  /** Whether the node lets its database be read, and files genesis as expected. */
  async available(genesisHash: Buffer): Promise<boolean> {
    const outcomes = await this.rpc.batchSettled<Buffer>([ofStore(hashKey(0n)), ofFiles('hashes', 0n)]);
    const lost = outcomes.find(({ error }) => error?.retryable)?.error;
    if (lost) throw lost;
    return outcomes.some(({ value }) => value?.equals(genesisHash));
  }

  /**
   * @returns all of the blocks: each is filed under the hash that the next one names as its parent, the last under the one that the node says it
   * has. Undefined where it isn't so, as the chain or the files moved, or the node isn't to be believed: whoever asks otherwise finds out which.
   */
  async blocksByNumber(from: bigint, to: bigint): Promise<FetchedBlock[] | undefined> {
    const numbers: bigint[] = [];
    for (let number = from; number <= to; number++) numbers.push(number);
    if (numbers.length === 0) return [];
    // Noted before it is asked: several ranges are on their way at once.
    const { inFiles } = this;
    let found = await this.find(numbers, inFiles);
    if (found === undefined) {
      found = await this.find(numbers, !inFiles);
      if (found !== undefined) this.inFiles = !inFiles;
    }
    return found && blocksOf(found);
  }

  private find(numbers: readonly bigint[], inFiles: boolean): Promise<Found | undefined> {
    return inFiles ? this.findInFiles(numbers) : this.findInStore(numbers);
  }

  /** In two rounds: a block is filed under its number and hash. */
  private async findInStore(numbers: readonly bigint[]): Promise<Found | undefined> {
    const hashes = allOf(await this.rpc.batchSettled<Buffer>(numbers.map((number) => ofStore(hashKey(number)))));
    if (hashes === undefined) return undefined;
    const calls = numbers.flatMap((number, index) => {
      const place = Buffer.concat([bigEndian(number), hashes[index] as Buffer]);
      return PREFIXES.map((prefix) => ofStore(Buffer.concat([prefix, place])));
    });
    const [head, ...parts] = await this.rpc.batchSettled<unknown>([headAt(numbers), ...calls]);
    return foundOf(head, hashes, allOf(parts as RpcOutcome<Buffer>[]));
  }

  private async findInFiles(numbers: readonly bigint[]): Promise<Found | undefined> {
    const calls = numbers.flatMap((number) => TABLES.map((table) => ofFiles(table, number)));
    const hashes = numbers.map((number) => ofFiles('hashes', number));
    const [head, ...read] = await this.rpc.batchSettled<unknown>([headAt(numbers), ...hashes, ...calls]);
    const all = allOf(read as RpcOutcome<Buffer>[]);
    return foundOf(head, all?.slice(0, numbers.length), all?.slice(numbers.length));
  }
}

/** Undefined unless each block is filed under the hash by which the next one, or the node, names it. */
function blocksOf({ hashes, parts, head }: Found): FetchedBlock[] | undefined {
  try {
    const blocks = hashes.map((hash, index) => {
      const [header, body, receipts] = parts.slice(3 * index) as [Buffer, Buffer, Buffer];
      return joinStoredBlock({ hash, header, body, receipts });
    });
    const { hash: last } = parseHead(head);
    const linked = hashes.every((hash, index) => hash.equals(blocks[index + 1]?.header.parentHash ?? last));
    return linked ? blocks : undefined;
  } catch (error) {
    if (error instanceof MalformedAnswer) return undefined;
    throw error;
  }
}

function foundOf(head: RpcOutcome<unknown> | undefined, hashes?: Buffer[], parts?: Buffer[]): Found | undefined {
  if (head?.error?.retryable) throw head.error;
  if (!head?.value || hashes === undefined || parts === undefined) return undefined;
  return { hashes, parts, head: head.value as RpcHead };
}

/** Undefined when one of them isn't there. @throws RpcError when the node was not to be asked */
function allOf(outcomes: readonly RpcOutcome<Buffer>[]): Buffer[] | undefined {
  const values: Buffer[] = [];
  for (const { value, error } of outcomes) {
    if (error?.retryable) throw error;
    if (value?.length) values.push(value);
  }
  return values.length === outcomes.length ? values : undefined;
}

/** In front of number and hash: the key of a header, of a body, of receipts. */
const PREFIXES = ['h', 'b', 'r'].map((prefix) => Buffer.from(prefix));
const TABLES = ['headers', 'bodies', 'receipts'];

/** The key under which the hash of the canonical block is. */
function hashKey(number: bigint): Buffer {
  return Buffer.concat([Buffer.from('h'), bigEndian(number), Buffer.from('n')]);
}

function bigEndian(number: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(number);
  return bytes;
}

function ofStore(key: Buffer): RpcCall {
  return { method: 'debug_dbGet', params: [toHex(key)], decode: bytesOf };
}

function ofFiles(table: string, number: bigint): RpcCall {
  return { method: 'debug_dbAncient', params: [table, Number(number)], decode: bytesOf };
}

function headAt(numbers: readonly bigint[]): RpcCall {
  return { method: 'eth_getBlockByNumber', params: [`0x${numbers.at(-1)?.toString(16)}`, false] };
}
