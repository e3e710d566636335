import { keccak256 } from '../../../../libs/platform/src/keccak.js';
import type { Header } from '../../../../libs/proof/src/header.js';
import {
  rlpCount,
  rlpInteger,
  rlpItem,
  rlpItems,
  rlpString,
  rlpStrings,
} from '../../../../libs/proof/src/rlp-reader.js';
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
export function parseRawBlock(hex: string): RawBlock {
  return orMalformed(() => {
    const [header, transactions] = rlpItems(fromHex(hex)) as [Buffer, Buffer];
    return {
      hash: keccak256(header),
      number: rlpInteger(rlpItem(header, 8)),
      parentHash: rlpString(rlpItem(header, 0)),
      header,
      // A legacy transaction is a list, a typed one a string that holds its bytes (EIP-2718).
      transactions: rlpItems(transactions).map((item) => ((item[0] as number) >= 0xc0 ? item : rlpString(item))),
    };
  });
}

/**
 * Both parts in the shape of a block told in JSON. The bytes go along, so that roots and hashes are taken over them as they are.
 * @param told the hash that the node says the block has; the verifier holds the header against it
 * @param receipts consensus encoding of each, as `debug_getRawReceipts` gives them
 * @throws MalformedAnswer
 */
export function joinRawBlock(block: RawBlock, told: Buffer, receipts: readonly string[]): FetchedBlock {
  return orMalformed(() => ({
    hash: told,
    header: parseHeader(block.header),
    encodedHeader: block.header,
    transactions: block.transactions.map((encoded) => new EncodedTransaction(encoded)),
    receipts: receipts.map((hex) => new EncodedReceipt(fromHex(hex))),
  }));
}

function parseHeader(encoded: Buffer): Header {
  const items = rlpItems(encoded);
  const string = (index: number) => rlpString(items[index] as Buffer);
  const integer = (index: number) => rlpInteger(items[index] as Buffer);
  return {
    parentHash: string(0),
    ommersHash: string(1),
    beneficiary: string(2),
    stateRoot: string(3),
    transactionsRoot: string(4),
    receiptsRoot: string(5),
    logsBloom: string(6),
    difficulty: integer(7),
    number: integer(8),
    gasLimit: integer(9),
    gasUsed: integer(10),
    timestamp: integer(11),
    extraData: string(12),
    mixHash: string(13),
    nonce: string(14),
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
class EncodedTransaction implements FetchedTransaction {
  readonly type: number;
  readonly hash = undefined;
  readonly from = undefined;
  private readonly list: Buffer;
  private readonly layout: readonly Field[];

  constructor(readonly encoded: Buffer) {
    const { type, list } = opened(encoded);
    this.type = type;
    const layout = layouts[this.type as 0 | 1 | 2] as readonly Field[] | undefined;
    if (layout === undefined) throw new RangeError(`a transaction of type ${this.type}, which can't be verified here`);
    this.layout = layout;
    this.list = list;
    if (rlpCount(list) !== layout.length) throw new RangeError('a transaction with another number of fields');
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
    const to = rlpString(this.item('to') as Buffer);
    return to.length === 0 ? undefined : to;
  }
  get value(): bigint {
    return this.integer('value');
  }
  get input(): Buffer {
    return rlpString(this.item('input') as Buffer);
  }
  get accessList(): FetchedTransaction['accessList'] {
    const list = this.item('accessList');
    if (list === undefined) return [];
    return rlpItems(list).map((entry) => {
      const [address, storageKeys] = rlpItems(entry) as [Buffer, Buffer];
      return { address: rlpString(address), storageKeys: rlpStrings(storageKeys) };
    });
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

  private item(field: Field): Buffer | undefined {
    const index = this.layout.indexOf(field);
    return index === -1 ? undefined : rlpItem(this.list, index);
  }

  /** 0 where transactions of this type haven't the field. */
  private integer(field: Field): bigint {
    const item = this.item(field);
    return item === undefined ? 0n : rlpInteger(item);
  }
}

/** A receipt that is read from its bytes each time somebody asks: between verification and fold the bytes alone are kept. */
class EncodedReceipt implements FetchedReceipt {
  readonly transactionHash = undefined;
  readonly type: number;
  private readonly list: Buffer;

  constructor(readonly encoded: Buffer) {
    const { type, list } = opened(encoded);
    this.type = type;
    this.list = list;
    if (rlpCount(list) !== 4) throw new RangeError('a receipt with another number of fields');
  }

  get status(): number {
    return Number(rlpInteger(rlpItem(this.list, 0)));
  }
  get cumulativeGasUsed(): bigint {
    return rlpInteger(rlpItem(this.list, 1));
  }
  get logsBloom(): Buffer {
    return rlpString(rlpItem(this.list, 2));
  }
  get logCount(): number {
    return rlpCount(rlpItem(this.list, 3));
  }
  get logs(): FetchedLog[] {
    return rlpItems(rlpItem(this.list, 3)).map(parseLog);
  }
}

/** The envelope of a transaction or receipt (EIP-2718); what has none is of type 0. */
function opened(encoded: Buffer): { type: number; list: Buffer } {
  const first = encoded[0] as number;
  return first < 0xc0 ? { type: first, list: encoded.subarray(1) } : { type: 0, list: encoded };
}

function parseLog(encoded: Buffer): FetchedLog {
  const [address, topics, data] = rlpItems(encoded) as [Buffer, Buffer, Buffer];
  return { address: rlpString(address), topics: rlpStrings(topics), data: rlpString(data) };
}

function fromHex(hex: string): Buffer {
  const bytes = Buffer.from(hex.slice(2), 'hex');
  if (bytes.length === 0 || bytes.length * 2 + 2 !== hex.length) throw new RangeError('no hex of whole bytes');
  return bytes;
}

function orMalformed<T>(parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    throw new MalformedAnswer(`The node gave a raw block that can't be read: ${(error as Error).message}.`, {
      cause: error,
    });
  }
}
