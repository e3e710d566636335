import { keccak256 } from '../../platform/src/keccak.js';
import { orderedTrieRoot } from './ordered-trie.js';
import { type Bytes, encodeRlp, integer, joinRlp, type RlpItem } from './rlp.js';

export interface Transaction {
  /** EIP-2718 type: 0 legacy, 1 access list (EIP-2930), 2 dynamic fee (EIP-1559). */
  type: number;
  chainId: bigint;
  nonce: bigint;
  gasPrice: bigint;
  maxPriorityFeePerGas: bigint;
  maxFeePerGas: bigint;
  gasLimit: bigint;
  /** Undefined for a contract creation. */
  to: Bytes | undefined;
  value: bigint;
  input: Bytes;
  accessList: readonly { address: Bytes; storageKeys: readonly Bytes[] }[];
  /** v of a legacy signature, y parity of a typed one. */
  v: bigint;
  r: bigint;
  s: bigint;
}

/**
 * The signed bytes of a transaction: what its hash and the block's `transactionsRoot` commit to.
 * @throws RangeError for a type that is none of 0, 1, 2
 */
export function encodeTransaction(transaction: Transaction): Buffer {
  const { type } = transaction;
  const to = transaction.to ?? Buffer.alloc(0);
  const call = [integer(transaction.gasLimit), to, integer(transaction.value), transaction.input];
  const accessList = transaction.accessList.map(({ address, storageKeys }) => [address, [...storageKeys]]);
  const signature = [integer(transaction.v), integer(transaction.r), integer(transaction.s)];
  const nonce = integer(transaction.nonce);
  switch (type) {
    case 0:
      return encodeRlp([nonce, integer(transaction.gasPrice), ...call, ...signature]);
    case 1:
      return typed(1, [
        integer(transaction.chainId),
        nonce,
        integer(transaction.gasPrice),
        ...call,
        accessList,
        ...signature,
      ]);
    case 2:
      return typed(2, [
        integer(transaction.chainId),
        nonce,
        integer(transaction.maxPriorityFeePerGas),
        integer(transaction.maxFeePerGas),
        ...call,
        accessList,
        ...signature,
      ]);
    default:
      throw new RangeError(`transactions of type ${type} can't be verified here`);
  }
}

function typed(type: number, fields: RlpItem): Buffer {
  return Buffer.concat([Buffer.of(type), encodeRlp(fields)]);
}

/** keccak256 of the signed bytes. */
export function transactionHash(encoded: Bytes): Buffer {
  return keccak256(encoded);
}

/** The `transactionsRoot` of exactly these signed transactions, in this order. */
export function transactionsRoot(encoded: readonly Bytes[]): Buffer {
  return orderedTrieRoot(encoded);
}

/** RLP of a whole block without ommers: what `debug_getRawBlock` answers and a node imports. */
export function encodeBlock(header: Bytes, encoded: readonly Bytes[]): Buffer {
  // A legacy transaction is a list inside the body, a typed one a string; both the header and legacy ones are RLP already.
  const transactions = encoded.map((bytes) => ((bytes[0] as number) >= 0xc0 ? bytes : encodeRlp(bytes)));
  return joinRlp([header, joinRlp(transactions), joinRlp([])]);
}
