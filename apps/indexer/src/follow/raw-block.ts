import { keccak256 } from '../../../../libs/platform/src/keccak.js';
import type { Header } from '../../../../libs/proof/src/header.js';
import { RlpReader } from '../../../../libs/proof/src/rlp-reader.js';
import type { FetchedBlock, FetchedLog, FetchedReceipt, FetchedTransaction } from './chain-source.js';
import { MalformedAnswer } from './rpc-block.js';

/**
 * A block as `debug_getRawBlock` gives it: the RLP [header, transactions, ommers] that a node imports. Its receipts are asked for by the
 * hash that follows from it.
 */
export interface RawBlock {
  /** keccak256 of the header: computed here, not told. */
  hash: Buffer;
  number: bigint;
  parentHash: Buffer;
  header: Buffer;
  /** Signed bytes of each transaction. */
  transactions: Buffer[];
}

/** @throws MalformedAnswer */
export function parseRawBlock(encoded: Buffer): RawBlock {
  return orMalformed(() => {
    const parts = RlpReader.over(encoded);
    const header = parts.item();
    const fields = RlpReader.over(header);
    return {
      hash: keccak256(header),
      parentHash: fields.string(),
      number: fields.skip(7).integer(),
      header,
      transactions: signedBytes(parts.list()),
    };
  });
}

/** Of each transaction in a block's list. A legacy one is a list, a typed one a string that holds its bytes (EIP-2718). */
export function signedBytes(list: RlpReader): Buffer[] {
  const transactions: Buffer[] = [];
  while (list.more) transactions.push(list.atList ? list.item() : list.string());
  return transactions;
}

/**
 * Both parts in the shape of a block told in JSON. The bytes go along, so that roots and hashes are taken over them as they are.
 * @param told the hash that the node says the block has; the verifier holds the header against it
 * @param receipts consensus encoding of each, as `debug_getRawReceipts` gives them
 * @throws MalformedAnswer
 */
export function joinRawBlock(block: RawBlock, told: Buffer, receipts: readonly Buffer[]): FetchedBlock {
  return orMalformed(() => ({
    hash: told,
    header: parseHeader(block.header),
    encodedHeader: block.header,
    transactions: block.transactions.map((encoded) => new EncodedTransaction(encoded)),
    receipts: receipts.map((encoded) => new EncodedReceipt(encoded)),
  }));
}

export function parseHeader(encoded: Buffer): Header {
  const fields = RlpReader.over(encoded);
  return {
    parentHash: fields.string(),
    ommersHash: fields.string(),
    beneficiary: fields.string(),
    stateRoot: fields.string(),
    transactionsRoot: fields.string(),
    receiptsRoot: fields.string(),
    logsBloom: fields.string(),
    difficulty: fields.integer(),
    number: fields.integer(),
    gasLimit: fields.integer(),
    gasUsed: fields.integer(),
    timestamp: fields.integer(),
    extraData: fields.string(),
    mixHash: fields.string(),
    nonce: fields.string(),
  };
}

/** Where the fields of each type of transaction stand; the types are those that libs/proof can encode. */
const layouts = {
  0: ['nonce', 'gasPrice', 'gasLimit', 'to', 'value', 'input', 'v', 'r', 's'],
  1: ['chainId', 'nonce', 'gasPrice', 'gasLimit', 'to', 'value', 'input', 'accessList', 'v', 'r', 's'],
  2: [
    ...['chainId', 'nonce', 'maxPriorityFeePerGas', 'maxFeePerGas', 'gasLimit', 'to', 'value', 'input'],
    ...['accessList', 'v', 'r', 's'],
  ],
} as const;
type Field = (typeof layouts)[0 | 1 | 2][number];

/** A transaction that is read from its signed bytes as far as somebody asks: most are only hashed. */
export class EncodedTransaction implements FetchedTransaction {
  readonly type: number;
  readonly hash = undefined;
  readonly from = undefined;
  private readonly layout: readonly Field[];

  constructor(readonly encoded: Buffer) {
    this.type = typeOf(encoded);
    const layout = layouts[this.type as 0 | 1 | 2] as readonly Field[] | undefined;
    if (layout === undefined) throw new RangeError(`a transaction of type ${this.type}, which can't be verified here`);
    this.layout = layout;
    if (fieldsOf(this).count() !== layout.length) throw new RangeError('a transaction with another number of fields');
  }

  get chainId(): bigint {
    return this.integer('chainId');
  }
  get nonce(): bigint {
    return this.integer('nonce');
  }
  get gasPrice(): bigint {
    return this.integer('gasPrice');
  }
  get maxPriorityFeePerGas(): bigint {
    return this.integer('maxPriorityFeePerGas');
  }
  get maxFeePerGas(): bigint {
    return this.integer('maxFeePerGas');
  }
  get gasLimit(): bigint {
    return this.integer('gasLimit');
  }
  get to(): Buffer | undefined {
    const to = this.string('to');
    return to.length === 0 ? undefined : to;
  }
  get value(): bigint {
    return this.integer('value');
  }
  get input(): Buffer {
    return this.string('input');
  }
  get accessList(): FetchedTransaction['accessList'] {
    const list = this.at('accessList')?.list();
    const entries = [];
    while (list?.more) {
      const entry = list.list();
      entries.push({ address: entry.string(), storageKeys: entry.list().strings() });
    }
    return entries;
  }
  get v(): bigint {
    return this.integer('v');
  }
  get r(): bigint {
    return this.integer('r');
  }
  get s(): bigint {
    return this.integer('s');
  }

  private string(field: 'to' | 'input'): Buffer {
    return (this.at(field) as RlpReader).string();
  }

  /** 0 where transactions of this type haven't the field. */
  private integer(field: Field): bigint {
    return this.at(field)?.integer() ?? 0n;
  }

  /** Before the field; undefined where transactions of this type haven't it. */
  private at(field: Field): RlpReader | undefined {
    const index = this.layout.indexOf(field);
    return index === -1 ? undefined : fieldsOf(this).skip(index);
  }
}

/** A receipt that is read from its bytes each time somebody asks: between verification and fold the bytes alone are kept. */
class EncodedReceipt implements FetchedReceipt {
  readonly transactionHash = undefined;
  readonly type: number;

  constructor(readonly encoded: Buffer) {
    this.type = typeOf(encoded);
    if (fieldsOf(this).count() !== 4) throw new RangeError('a receipt with another number of fields');
  }

  get status(): number {
    return Number(fieldsOf(this).integer());
  }
  get cumulativeGasUsed(): bigint {
    return fieldsOf(this).skip(1).integer();
  }
  get logsBloom(): Buffer {
    return fieldsOf(this).skip(2).string();
  }
  get logCount(): number {
    return fieldsOf(this).skip(3).list().count();
  }
  get logs(): FetchedLog[] {
    return readLogs(fieldsOf(this).skip(3).list());
  }
}

/** The logs of one receipt. */
export function readLogs(list: RlpReader): FetchedLog[] {
  const logs: FetchedLog[] = [];
  while (list.more) {
    const log = list.list();
    logs.push({ address: log.string(), topics: log.list().strings(), data: log.string() });
  }
  return logs;
}

/** By the envelope of a transaction or receipt (EIP-2718); what has none is of type 0. */
function typeOf(encoded: Buffer): number {
  const first = encoded[0] as number;
  return first < 0xc0 ? first : 0;
}

function fieldsOf({ encoded, type }: { encoded: Buffer; type: number }): RlpReader {
  return RlpReader.over(encoded, type === 0 ? 0 : 1);
}

export function orMalformed<T>(parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    throw new MalformedAnswer(`The node gave a raw block that can't be read: ${(error as Error).message}.`, {
      cause: error,
    });
  }
}
