import { fromHex, toHex } from '../../../platform/src/bytes.js';
import { RpcError } from './rpc.error.js';
import type { RpcCall, RpcHead, RpcOutcome, RpcTransport, Subscription } from './rpc.types.js';

/** Everything a header's hash is made of, and the hash the node claims. */
export interface BlockHeader {
  hash: Buffer;
  parentHash: Buffer;
  sha3Uncles: Buffer;
  miner: Buffer;
  stateRoot: Buffer;
  transactionsRoot: Buffer;
  receiptsRoot: Buffer;
  logsBloom: Buffer;
  difficulty: bigint;
  number: bigint;
  gasLimit: bigint;
  gasUsed: bigint;
  /** Unix seconds. */
  timestamp: bigint;
  extraData: Buffer;
  mixHash: Buffer;
  nonce: Buffer;
  /** Present from London on. */
  baseFeePerGas?: bigint;
}

export interface ChainTransaction {
  hash: Buffer;
  from: Buffer;
  to: Buffer | undefined;
  nonce: bigint;
  input: Buffer;
}

export interface Block extends BlockHeader {
  transactions: ChainTransaction[];
}

export interface ChainLog {
  address: Buffer;
  topics: Buffer[];
  data: Buffer;
  blockNumber: bigint;
  blockHash: Buffer;
  transactionHash: Buffer;
  transactionIndex: number;
  /** Position in the block. */
  logIndex: number;
}

export interface Receipt {
  transactionHash: Buffer;
  transactionIndex: number;
  blockHash: Buffer;
  blockNumber: bigint;
  /** EIP-2718 type, 0 for legacy. */
  type: number;
  status: number;
  cumulativeGasUsed: bigint;
  gasUsed: bigint;
  contractAddress: Buffer | undefined;
  logsBloom: Buffer;
  logs: ChainLog[];
}

export type BlockTag = 'latest' | 'pending' | 'earliest';
export type Known = 'mined' | 'pending' | 'unknown';

/** A node's answers, decoded: bytes as Buffers, quantities as bigints. Nothing is verified here. Every method throws RpcError. */
export class ChainReader {
  constructor(readonly rpc: RpcTransport) {}

  async chainId(): Promise<bigint> {
    return BigInt(await this.rpc.request<string>('eth_chainId'));
  }

  async blockNumber(): Promise<bigint> {
    return BigInt(await this.rpc.request<string>('eth_blockNumber'));
  }

  /** Header by number, hash or tag; undefined when the node has none. */
  async header(at: bigint | Buffer | BlockTag): Promise<BlockHeader | undefined> {
    const block = await this.rpc.request<RpcBlock | null>(...blockCall(at, false));
    return block === null ? undefined : decodeHeader(block);
  }

  /** Headers of the numbers from..to, both included, in one batch. @throws RpcError also when one of them doesn't exist */
  async headers(from: bigint, to: bigint): Promise<BlockHeader[]> {
    const blocks = await this.rpc.batch<RpcBlock | null>(range(from, to, (n) => call(...blockCall(n, false))));
    return blocks.map((block, index) => decodeHeader(present(block, `block ${from + BigInt(index)}`)));
  }

  /** Block with its transactions; undefined when the node has none. */
  async block(at: bigint | Buffer | BlockTag): Promise<Block | undefined> {
    const block = await this.rpc.request<RpcBlock | null>(...blockCall(at, true));
    return block === null ? undefined : decodeBlock(block);
  }

  /** As `headers`, with transactions. */
  async blocks(from: bigint, to: bigint): Promise<Block[]> {
    const blocks = await this.rpc.batch<RpcBlock | null>(range(from, to, (n) => call(...blockCall(n, true))));
    return blocks.map((block, index) => decodeBlock(present(block, `block ${from + BigInt(index)}`)));
  }

  /** Receipts of one block in order; undefined when the node doesn't know the block. */
  async blockReceipts(at: bigint | Buffer): Promise<Receipt[] | undefined> {
    const receipts = await this.rpc.request<RpcReceipt[] | null>('eth_getBlockReceipts', [blockParam(at)]);
    return receipts?.map(decodeReceipt);
  }

  /** Receipts of many blocks in one batch. @throws RpcError also when the node doesn't know one of them */
  async receiptsOf(blocks: readonly (bigint | Buffer)[]): Promise<Receipt[][]> {
    const all = await this.rpc.batch<RpcReceipt[] | null>(
      blocks.map((at) => call('eth_getBlockReceipts', [blockParam(at)])),
    );
    return all.map((receipts) => present(receipts, 'a block').map(decodeReceipt));
  }

  /** Consensus RLP of a block (geth's debug namespace). */
  async rawBlock(at: bigint): Promise<Buffer> {
    return fromHex(await this.rpc.request<string>('debug_getRawBlock', [quantity(at)]));
  }

  async rawBlocks(numbers: readonly bigint[]): Promise<Buffer[]> {
    const raw = await this.rpc.batch<string>(numbers.map((n) => call('debug_getRawBlock', [quantity(n)])));
    return raw.map((hex) => fromHex(hex));
  }

  /** Logs of a contract in the blocks from..to, both included. */
  async logs(address: Buffer, from: bigint, to: bigint): Promise<ChainLog[]> {
    const filter = { address: toHex(address), fromBlock: quantity(from), toBlock: quantity(to) };
    return (await this.rpc.request<RpcLog[]>('eth_getLogs', [filter])).map(decodeLog);
  }

  async receipt(hash: Buffer): Promise<Receipt | undefined> {
    const receipt = await this.rpc.request<RpcReceipt | null>('eth_getTransactionReceipt', [toHex(hash)]);
    return receipt === null ? undefined : decodeReceipt(receipt);
  }

  /** Nonce the next transaction of `address` has, as of a block or tag. */
  async transactionCount(address: Buffer, at: bigint | BlockTag = 'latest'): Promise<bigint> {
    return BigInt(await this.rpc.request<string>('eth_getTransactionCount', [toHex(address), blockParam(at)]));
  }

  /** Wei a unit of gas that the next block asks for itself (EIP-1559); 0 where it asks nothing, or the node can't tell. */
  async nextBaseFee(): Promise<bigint> {
    try {
      const history = await this.rpc.request<{ baseFeePerGas?: string[] }>('eth_feeHistory', ['0x1', 'latest', []]);
      return BigInt(history.baseFeePerGas?.at(-1) ?? 0);
    } catch (error) {
      // Nodes from before EIP-1559 don't know the method.
      if (error instanceof RpcError && error.answered && !error.retryable) return 0n;
      throw error;
    }
  }

  /** Wei. */
  async balance(address: Buffer): Promise<bigint> {
    return BigInt(await this.rpc.request<string>('eth_getBalance', [toHex(address), 'latest']));
  }

  /** Whether the node has each transaction in a block, in its pool, or not at all. */
  async known(hashes: readonly Buffer[]): Promise<Known[]> {
    const found = await this.rpc.batch<{ blockNumber: string | null } | null>(
      hashes.map((hash) => call('eth_getTransactionByHash', [toHex(hash)])),
    );
    return found.map((transaction) => {
      if (transaction === null) return 'unknown';
      return transaction.blockNumber === null ? 'pending' : 'mined';
    });
  }

  async call(to: Buffer, data: Buffer, at: bigint | BlockTag = 'latest'): Promise<Buffer> {
    const tag = typeof at === 'bigint' ? quantity(at) : at;
    return fromHex(await this.rpc.request<string>('eth_call', [{ to: toHex(to), data: toHex(data) }, tag]));
  }

  async code(address: Buffer): Promise<Buffer> {
    return fromHex(await this.rpc.request<string>('eth_getCode', [toHex(address), 'latest']));
  }

  /** Hands signed transactions to the node, in order. The outcome's value is the hash as hex. */
  sendRaw(raws: readonly Buffer[]): Promise<RpcOutcome<string>[]> {
    return this.rpc.batchSettled<string>(raws.map((raw) => call('eth_sendRawTransaction', [toHex(raw)])));
  }

  /** See RpcTransport.subscribe. */
  onHead(
    onItem: (head: { number: bigint; hash: Buffer; parentHash: Buffer }) => void,
    onGap?: () => void,
  ): Promise<Subscription> {
    const decode = (head: RpcHead) =>
      onItem({ number: BigInt(head.number), hash: fromHex(head.hash), parentHash: fromHex(head.parentHash) });
    return this.rpc.subscribe('newHeads', decode, onGap);
  }
}

type Hex = string;
interface RpcBlock {
  hash: Hex;
  parentHash: Hex;
  sha3Uncles: Hex;
  miner: Hex;
  stateRoot: Hex;
  transactionsRoot: Hex;
  receiptsRoot: Hex;
  logsBloom: Hex;
  difficulty: Hex;
  number: Hex;
  gasLimit: Hex;
  gasUsed: Hex;
  timestamp: Hex;
  extraData: Hex;
  mixHash: Hex;
  nonce: Hex;
  baseFeePerGas?: Hex;
  transactions: { hash: Hex; from: Hex; to: Hex | null; nonce: Hex; input: Hex }[];
}
interface RpcLog {
  address: Hex;
  topics: Hex[];
  data: Hex;
  blockNumber: Hex;
  blockHash: Hex;
  transactionHash: Hex;
  transactionIndex: Hex;
  logIndex: Hex;
}
interface RpcReceipt {
  transactionHash: Hex;
  transactionIndex: Hex;
  blockHash: Hex;
  blockNumber: Hex;
  type?: Hex;
  status: Hex;
  cumulativeGasUsed: Hex;
  gasUsed: Hex;
  contractAddress: Hex | null;
  logsBloom: Hex;
  logs: RpcLog[];
}

export function decodeHeader(block: RpcBlock): BlockHeader {
  return {
    hash: bytes(block.hash),
    parentHash: bytes(block.parentHash),
    sha3Uncles: bytes(block.sha3Uncles),
    miner: bytes(block.miner),
    stateRoot: bytes(block.stateRoot),
    transactionsRoot: bytes(block.transactionsRoot),
    receiptsRoot: bytes(block.receiptsRoot),
    logsBloom: bytes(block.logsBloom),
    difficulty: BigInt(block.difficulty),
    number: BigInt(block.number),
    gasLimit: BigInt(block.gasLimit),
    gasUsed: BigInt(block.gasUsed),
    timestamp: BigInt(block.timestamp),
    extraData: bytes(block.extraData),
    mixHash: bytes(block.mixHash),
    nonce: bytes(block.nonce),
    ...(block.baseFeePerGas === undefined ? {} : { baseFeePerGas: BigInt(block.baseFeePerGas) }),
  };
}

function decodeBlock(block: RpcBlock): Block {
  const transactions = block.transactions.map((transaction) => ({
    hash: bytes(transaction.hash),
    from: bytes(transaction.from),
    to: optional(transaction.to),
    nonce: BigInt(transaction.nonce),
    input: bytes(transaction.input),
  }));
  return { ...decodeHeader(block), transactions };
}

function decodeReceipt(receipt: RpcReceipt): Receipt {
  return {
    transactionHash: bytes(receipt.transactionHash),
    transactionIndex: Number(receipt.transactionIndex),
    blockHash: bytes(receipt.blockHash),
    blockNumber: BigInt(receipt.blockNumber),
    type: Number(receipt.type ?? 0),
    status: Number(receipt.status),
    cumulativeGasUsed: BigInt(receipt.cumulativeGasUsed),
    gasUsed: BigInt(receipt.gasUsed),
    contractAddress: optional(receipt.contractAddress),
    logsBloom: bytes(receipt.logsBloom),
    logs: receipt.logs.map(decodeLog),
  };
}

function decodeLog(log: RpcLog): ChainLog {
  return {
    address: bytes(log.address),
    topics: log.topics.map(bytes),
    data: bytes(log.data),
    blockNumber: BigInt(log.blockNumber),
    blockHash: bytes(log.blockHash),
    transactionHash: bytes(log.transactionHash),
    transactionIndex: Number(log.transactionIndex),
    logIndex: Number(log.logIndex),
  };
}

function quantity(value: bigint): Hex {
  return `0x${value.toString(16)}`;
}

// No check of every digit here: a node's hex is trusted to be hex, and whoever verifies hashes finds out if it isn't.
function bytes(hex: Hex): Buffer {
  return Buffer.from(hex.slice(2), 'hex');
}

function optional(hex: Hex | null | undefined): Buffer | undefined {
  return hex === null || hex === undefined ? undefined : bytes(hex);
}

function blockParam(at: bigint | Buffer | BlockTag): Hex {
  if (typeof at === 'string') return at;
  return typeof at === 'bigint' ? quantity(at) : toHex(at);
}

function blockCall(at: bigint | Buffer | BlockTag, full: boolean): [string, unknown[]] {
  return [Buffer.isBuffer(at) ? 'eth_getBlockByHash' : 'eth_getBlockByNumber', [blockParam(at), full]];
}

function call(method: string, params: readonly unknown[]): RpcCall {
  return { method, params };
}

function range<T>(from: bigint, to: bigint, make: (n: bigint) => T): T[] {
  const items: T[] = [];
  for (let n = from; n <= to; n++) items.push(make(n));
  return items;
}

function present<T>(value: T | null, what: string): T {
  if (value === null) throw new RpcError(`The node does not have ${what}.`, { code: 'MALFORMED', retryable: true });
  return value;
}
