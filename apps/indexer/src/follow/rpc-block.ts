import type { RpcHead } from '../../../../libs/chain-client/src/rpc/transport.js';
import type { FetchedBlock, FetchedReceipt, FetchedTransaction, Head, StateProof } from './chain-source.js';

/** Execution API, `Block` with full transactions. */
export interface RpcBlock {
  hash: string;
  parentHash: string;
  sha3Uncles: string;
  miner: string;
  stateRoot: string;
  transactionsRoot: string;
  receiptsRoot: string;
  logsBloom: string;
  difficulty: string;
  number: string;
  gasLimit: string;
  gasUsed: string;
  timestamp: string;
  extraData: string;
  mixHash: string;
  nonce: string;
  baseFeePerGas?: string;
  withdrawalsRoot?: string;
  blobGasUsed?: string;
  excessBlobGas?: string;
  parentBeaconBlockRoot?: string;
  requestsHash?: string;
  transactions: RpcTransaction[];
}

export interface RpcTransaction {
  hash: string;
  from: string;
  type?: string;
  chainId?: string;
  nonce: string;
  gasPrice?: string;
  maxPriorityFeePerGas?: string;
  maxFeePerGas?: string;
  gas: string;
  to: string | null;
  value: string;
  input: string;
  accessList?: { address: string; storageKeys: string[] }[];
  v: string;
  yParity?: string;
  r: string;
  s: string;
}

export interface RpcReceipt {
  blockHash: string;
  transactionHash: string;
  type?: string;
  status?: string;
  cumulativeGasUsed: string;
  logsBloom: string;
  logs: { address: string; topics: string[]; data: string }[];
}

/** EIP-1186 */
export interface RpcStateProof {
  accountProof: string[];
  storageProof: { proof: string[] }[];
}

/** A node answered something that isn't a block; asking again may help, believing it can't. */
export class MalformedAnswer extends Error {
  override readonly name = 'MalformedAnswer';
}

export function parseHead(head: RpcHead): Head {
  return {
    number: integer(head.number),
    hash: bytes(head.hash, 32),
    parentHash: bytes(head.parentHash, 32),
  };
}

/**
 * Turns hex into bytes and integers. Their truth is checked elsewhere: whatever is wrong here can't give the block's hash.
 * @throws MalformedAnswer naming the block
 */
export function parseBlock(block: RpcBlock, receipts: readonly RpcReceipt[]): FetchedBlock {
  try {
    return parseFields(block, receipts);
  } catch (error) {
    throw new MalformedAnswer(`Block ${named(block.number)} (${block.hash}): ${(error as Error).message}`, {
      cause: error,
    });
  }
}

function named(number: unknown): string {
  return typeof number === 'string' && /^0x[0-9a-f]{1,16}$/i.test(number) ? `${BigInt(number)}` : `${number}`;
}

function parseFields(block: RpcBlock, receipts: readonly RpcReceipt[]): FetchedBlock {
  return {
    hash: bytes(block.hash, 32),
    header: {
      parentHash: bytes(block.parentHash, 32),
      ommersHash: bytes(block.sha3Uncles, 32),
      beneficiary: bytes(block.miner, 20),
      stateRoot: bytes(block.stateRoot, 32),
      transactionsRoot: bytes(block.transactionsRoot, 32),
      receiptsRoot: bytes(block.receiptsRoot, 32),
      logsBloom: bytes(block.logsBloom, 256),
      difficulty: integer(block.difficulty),
      number: integer(block.number),
      gasLimit: integer(block.gasLimit),
      gasUsed: integer(block.gasUsed),
      timestamp: integer(block.timestamp),
      extraData: bytes(block.extraData),
      mixHash: bytes(block.mixHash, 32),
      nonce: bytes(block.nonce, 8),
      baseFeePerGas: optional(block.baseFeePerGas, integer),
      withdrawalsRoot: optional(block.withdrawalsRoot, bytes),
      blobGasUsed: optional(block.blobGasUsed, integer),
      excessBlobGas: optional(block.excessBlobGas, integer),
      parentBeaconBlockRoot: optional(block.parentBeaconBlockRoot, bytes),
      requestsHash: optional(block.requestsHash, bytes),
    },
    transactions: block.transactions.map(parseTransaction),
    receipts: receipts.map(parseReceipt),
  };
}

export function parseStateProof(answer: RpcStateProof | null): StateProof {
  const nodes = (list: unknown) => {
    if (!Array.isArray(list)) throw new MalformedAnswer('The node gave a state proof in the wrong shape.');
    return list.map((node) => bytes(node));
  };
  const { accountProof, storageProof } = answer ?? {};
  return { account: nodes(accountProof), slots: (storageProof ?? []).map(({ proof }) => nodes(proof)) };
}

function parseTransaction(transaction: RpcTransaction): FetchedTransaction {
  const type = Number(integer(transaction.type ?? '0x0'));
  return {
    hash: bytes(transaction.hash, 32),
    from: bytes(transaction.from, 20),
    type,
    chainId: integer(transaction.chainId ?? '0x0'),
    nonce: integer(transaction.nonce),
    gasPrice: integer(transaction.gasPrice ?? '0x0'),
    maxPriorityFeePerGas: integer(transaction.maxPriorityFeePerGas ?? '0x0'),
    maxFeePerGas: integer(transaction.maxFeePerGas ?? '0x0'),
    gasLimit: integer(transaction.gas),
    to: transaction.to === null ? undefined : bytes(transaction.to, 20),
    value: integer(transaction.value),
    input: bytes(transaction.input),
    accessList: (transaction.accessList ?? []).map(({ address, storageKeys }) => ({
      address: bytes(address, 20),
      storageKeys: storageKeys.map((key) => bytes(key, 32)),
    })),
    v: integer(type === 0 ? transaction.v : (transaction.yParity ?? transaction.v)),
    r: integer(transaction.r),
    s: integer(transaction.s),
  };
}

function parseReceipt(receipt: RpcReceipt): FetchedReceipt {
  return {
    transactionHash: bytes(receipt.transactionHash, 32),
    type: Number(integer(receipt.type ?? '0x0')),
    status: Number(integer(receipt.status ?? '0x0')),
    cumulativeGasUsed: integer(receipt.cumulativeGasUsed),
    logsBloom: bytes(receipt.logsBloom, 256),
    logs: receipt.logs.map(({ address, topics, data }) => ({
      address: bytes(address, 20),
      topics: topics.map((topic) => bytes(topic, 32)),
      data: bytes(data),
    })),
  };
}

function bytes(hex: string | undefined, length?: number): Buffer {
  if (typeof hex !== 'string') throw new MalformedAnswer('The node left out a field of a block.');
  const value = Buffer.from(hex.slice(2), 'hex');
  // Buffer.from stops at the first character that isn't hex, so the length tells that all of it was.
  if (value.length * 2 + 2 !== hex.length || (length !== undefined && value.length !== length)) {
    throw new MalformedAnswer('The node gave a field of a block in the wrong shape.');
  }
  return value;
}

function integer(hex: string | undefined): bigint {
  if (typeof hex !== 'string' || !/^0x[0-9a-f]+$/i.test(hex)) {
    throw new MalformedAnswer('The node gave a number of a block in the wrong shape.');
  }
  return BigInt(hex);
}

function optional<T>(value: string | undefined | null, parse: (hex: string) => T): T | undefined {
  return value === undefined || value === null ? undefined : parse(value);
}
