import { Interface } from 'ethers';
import secp256k1 from 'secp256k1';
import { expect, vi } from 'vitest';
import { fromHex, toHex } from '../../platform/src/bytes.js';
import { keccak256 } from '../../platform/src/keccak.js';
import { deploymentData, type HospitalEntry } from '../src/deployment.js';
import { decodeEvent, foldHead, isSequenced, type LedgerEvent, type Log, leafOf } from '../src/event.codec.js';
import { abi } from '../src/generated/emr-ledger.js';
import { domainSeparator, encodeExecute, type Intent, intentDigest, type UnsignedIntent } from '../src/intent.codec.js';
import { Operation, Role, transactionGas } from '../src/operations.js';
import { parameters } from '../src/parameters.js';
import { type Anvil, GENESIS_TIME, startAnvil } from './anvil.js';

export const CHAIN_ID = 80n;
export const ZERO: Buffer = Buffer.alloc(32);
/** A, B and C are hospitals of every test ledger; 9 is none. */
export const A = 1;
export const B = 2;
export const C = 3;

// A chain of its own for each file, and machines are slow at times: only a hang should end a test.
vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

const iface = new Interface(abi);

/** A key by name, the same in every run. */
export class Actor {
  readonly key: Buffer;
  readonly address: Buffer;
  constructor(readonly name: string) {
    this.key = word(`key of ${name}`);
    this.address = keccak256(secp256k1.publicKeyCreate(this.key, false).subarray(1)).subarray(12);
  }
}

/** 32 bytes by name. */
export function word(name: string): Buffer {
  return keccak256(Buffer.from(name));
}

/** An id of a record of `hospital`, by name. */
export function record(hospital: number, name: string): Buffer {
  const id = word(`record ${name}`);
  id.writeUInt32BE(hospital, 0);
  return id;
}

export interface ActOptions extends Partial<UnsignedIntent> {
  /** The hospital whose relayer carries it; by default A. */
  via?: number;
  /** Other than the actor's own key. */
  signer?: Actor;
}

export interface Sent {
  events: LedgerEvent[];
  gasUsed: number;
  calldata: Buffer;
  logs: Log[];
}

/** A deployed ledger whose every answer is checked: gas within the static bound, events as ethers reads them, heads folded. */
export class TestLedger {
  sequence = 0n;
  head: Buffer = ZERO;
  readonly recordHeads = new Map<string, { sequence: bigint; head: Buffer }>();
  private requests = 0;
  readonly actors = {
    registrarA: new Actor('registrar.a'),
    registrarB: new Actor('registrar.b'),
    registrarC: new Actor('registrar.c'),
    clinicianA: new Actor('clinician.a'),
    colleagueA: new Actor('colleague.a'),
    recordsA: new Actor('records.a'),
    privacyA: new Actor('privacy.a'),
    deviceA: new Actor('device.a'),
    auditorA: new Actor('auditor.a'),
    clinicianB: new Actor('clinician.b'),
    recordsB: new Actor('records.b'),
    clinicianC: new Actor('clinician.c'),
    patient: new Actor('patient'),
    stranger: new Actor('stranger'),
  };

  private constructor(
    readonly anvil: Anvil,
    readonly address: Buffer,
    readonly accounts: Buffer[],
    private readonly domain: Buffer,
  ) {}

  /** Starts a chain, deploys, registers the actors above. */
  static async start(threshold = 2): Promise<TestLedger> {
    const anvil = await startAnvil();
    try {
      const accounts = (await anvil.request<string[]>('eth_accounts')).map((it) => fromHex(it, 20));
      const entries = [A, B, C].map((id) => hospitalEntry(id, accounts));
      const receipt = await sendTransaction(
        anvil,
        accounts[9]!,
        undefined,
        deploymentData(entries, threshold),
        12_000_000,
      );
      const address = fromHex(receipt.contractAddress!, 20);
      const ledger = new TestLedger(anvil, address, accounts, domainSeparator(CHAIN_ID, address));
      ledger.check(receipt.logs.map(toLog));
      await ledger.registerActors();
      return ledger;
    } catch (error) {
      await anvil.stop();
      throw error;
    }
  }

  stop(): Promise<void> {
    return this.anvil.stop();
  }

  /** A signed intent; its requestId is fresh unless given. */
  intent(actor: Actor, operation: number, encoded: Buffer, options: ActOptions = {}): Intent {
    this.requests += 1;
    const { via: _, signer, ...fields } = options;
    const unsigned: UnsignedIntent = {
      operation,
      requestId: word(`request ${this.requests}`),
      recordId: ZERO,
      parameters: encoded,
      actor: actor.address,
      deadline: GENESIS_TIME + 604_800,
      authContext: word(`token ${actor.name}`),
      ...fields,
    };
    return { ...unsigned, signature: sign(signer ?? actor, intentDigest(this.domain, unsigned)) };
  }

  /** One act in a transaction of its own: its only event beside `Head`. */
  async act(actor: Actor, operation: number, encoded: Buffer, options: ActOptions = {}): Promise<LedgerEvent> {
    const { events } = await this.send([this.intent(actor, operation, encoded, options)], options.via);
    expect(events.length).toBe(2);
    return events[0]!;
  }

  /** Sends with the static bound as gas limit, so that its success proves the bound. */
  async send(intents: Intent[], via: number = A): Promise<Sent> {
    const calldata = encodeExecute(intents);
    const gas = transactionGas(intents);
    const receipt = await sendTransaction(this.anvil, this.accounts[via]!, this.address, calldata, gas);
    expect(receipt.status, 'the transaction stays within its gas bound').toBe('0x1');
    const logs = receipt.logs.map(toLog);
    return { events: this.check(logs), gasUsed: Number(receipt.gasUsed), calldata, logs };
  }

  /** Moves block time `seconds` ahead. */
  async later(seconds: number): Promise<void> {
    await this.anvil.request('evm_setNextBlockTimestamp', Number(await this.now()) + seconds);
    await this.anvil.request('evm_mine');
  }

  async now(): Promise<bigint> {
    const block = await this.anvil.request<{ timestamp: string }>('eth_getBlockByNumber', 'latest', false);
    return BigInt(block.timestamp);
  }

  async call(name: string, ...values: unknown[]): Promise<unknown[]> {
    const to = toHex(this.address);
    const data = iface.encodeFunctionData(name, values);
    const answer = await this.anvil.request<string>('eth_call', { to, data }, 'latest');
    return iface.decodeFunctionResult(name, answer).toArray();
  }

  /** Opens a record of hospital A, by clinicianA, for the patient's key. @returns its id */
  async open(name: string, level = 1): Promise<Buffer> {
    const recordId = record(A, name);
    const event = await this.act(
      this.actors.clinicianA,
      Operation.OPEN,
      parameters.open({
        contentHash: word(`content ${name} 1`),
        subject: this.actors.patient.address,
        level,
        origin: ZERO,
        originBlock: ZERO,
      }),
      { recordId },
    );
    expect(event.type).toBe('RecordOpened');
    return recordId;
  }

  private async registerActors(): Promise<void> {
    const { actors } = this;
    const groups: [number, Actor, [Actor, number][]][] = [
      [
        A,
        actors.registrarA,
        [
          [actors.clinicianA, Role.CLINICIAN],
          [actors.colleagueA, Role.CLINICIAN],
          [actors.recordsA, Role.RECORDS_OFFICER],
          [actors.privacyA, Role.PRIVACY_OFFICER],
          [actors.deviceA, Role.DEVICE],
          [actors.auditorA, Role.AUDITOR],
        ],
      ],
      [
        B,
        actors.registrarB,
        [
          [actors.clinicianB, Role.CLINICIAN],
          [actors.recordsB, Role.RECORDS_OFFICER],
        ],
      ],
      [C, actors.registrarC, [[actors.clinicianC, Role.CLINICIAN]]],
    ];
    for (const [via, registrar, members] of groups) {
      const intents = members.map(([{ address }, roles]) =>
        this.intent(
          registrar,
          Operation.REGISTER_ACTOR,
          parameters.registerActor({ account: address, roles, custody: 0 }),
        ),
      );
      const { events } = await this.send(intents, via);
      expect(events.map((it) => it.type)).toEqual([...members.map(() => 'ActorRegistered'), 'Head']);
    }
  }

  /** Decodes, holds each event against ethers' reading, and folds the ledger's and the records' heads. */
  private check(logs: Log[]): LedgerEvent[] {
    return logs.map((log) => {
      const event = decodeEvent(log)!;
      expectAsEthersReads(event, log);
      if (event.type === 'Head') {
        expect(event).toEqual({ type: 'Head', sequence: this.sequence, head: this.head });
      }
      if (!isSequenced(event)) return event;
      expect(event.sequence).toBe(this.sequence + 1n);
      this.sequence = event.sequence;
      this.head = foldHead(this.head, event.sequence, leafOf(log));
      const key = toHex(event.recordId);
      const known = this.recordHeads.get(key) ?? { sequence: 0n, head: ZERO };
      const exists = known.sequence > 0n || event.type === 'RecordOpened';
      expect(event.recordSequence).toBe(exists ? known.sequence + 1n : 0n);
      expect(event.recordHead).toEqual(known.head);
      if (exists) {
        this.recordHeads.set(key, {
          sequence: event.recordSequence,
          head: foldHead(known.head, event.recordSequence, leafOf(log)),
        });
      }
      return event;
    });
  }
}

/** A founding hospital; account n relays for hospital n. */
export function hospitalEntry(id: number, accounts: Buffer[]): HospitalEntry {
  return {
    id,
    registrar: new Actor(`registrar.${'_abc'[id]}`).address,
    relayers: [accounts[id]!],
    identityKey: word(`identity ${id}`),
    transferKey: word(`transfer key ${id}`),
    transferKeyId: 1,
    endpointHash: word(`endpoint ${id}`),
  };
}

export function sign(actor: Actor, digest: Buffer): Buffer {
  const { signature, recid } = secp256k1.ecdsaSign(digest, actor.key);
  return Buffer.concat([signature, Buffer.from([27 + recid])]);
}

/** Expects a refusal with this reason. */
export function expectDenied(event: LedgerEvent, reason: number): void {
  expect(event).toMatchObject({ type: 'AccessDenied', reason });
}

export function expectAsEthersReads(event: LedgerEvent, log: Log): void {
  const parsed = iface.parseLog({ topics: log.topics.map(toHex), data: toHex(log.data) })!;
  expect(event.type).toBe(parsed.name);
  const own = event as unknown as Record<string, unknown>;
  parsed.fragment.inputs.forEach((input, index) => {
    const value = own[input.name];
    const text = Buffer.isBuffer(value) ? toHex(value) : typeof value === 'boolean' ? value : BigInt(value as bigint);
    const read: unknown = parsed.args[index];
    expect(text, `${event.type}.${input.name}`).toBe(typeof read === 'string' ? read.toLowerCase() : read);
  });
  expect(Object.keys(event).length).toBe(parsed.fragment.inputs.length + 1);
}

interface Receipt {
  status: string;
  gasUsed: string;
  contractAddress: string | null;
  logs: { topics: string[]; data: string }[];
}

async function sendTransaction(
  anvil: Anvil,
  from: Buffer,
  to: Buffer | undefined,
  data: Buffer,
  gas: number,
): Promise<Receipt> {
  const transaction = {
    from: toHex(from),
    ...(to && { to: toHex(to) }),
    data: toHex(data),
    gas: `0x${gas.toString(16)}`,
  };
  const hash = await anvil.request<string>('eth_sendTransaction', { ...transaction, gasPrice: '0x0' });
  // Anvil answers before it has sealed.
  for (let attempt = 0; attempt < 3000; attempt += 1) {
    const receipt = await anvil.request<Receipt | null>('eth_getTransactionReceipt', hash);
    if (receipt) return receipt;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error(`${hash} was not sealed`);
}

function toLog(log: { topics: string[]; data: string }): Log {
  return { topics: log.topics.map((it) => fromHex(it, 32)), data: fromHex(log.data) };
}
