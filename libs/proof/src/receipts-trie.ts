import { orderedTrieRoot } from './ordered-trie.js';
import { type Bytes, encodeRlp, integer } from './rlp.js';

export interface ReceiptLog {
  address: Bytes;
  topics: readonly Bytes[];
  data: Bytes;
}

/** What a block's `receiptsRoot` commits to of each transaction. Transaction hash, sender and log index are not part of it. */
export interface Receipt {
  /** EIP-2718 type; 0 for legacy. */
  type: number;
  /** 1 success, 0 reverted (EIP-658, Byzantium and later). */
  status: number;
  cumulativeGasUsed: bigint;
  logsBloom: Bytes;
  logs: readonly ReceiptLog[];
  /** The consensus encoding, where it is at hand: then the rest was read from it. */
  encoded?: Buffer;
}

/** The consensus encoding of a receipt: the leaf of the receipts trie. */
export function encodeReceipt(receipt: Receipt): Buffer {
  const body = encodeRlp([
    integer(receipt.status),
    integer(receipt.cumulativeGasUsed),
    receipt.logsBloom,
    receipt.logs.map((log) => [log.address, [...log.topics], log.data]),
  ]);
  return receipt.type === 0 ? body : Buffer.concat([Buffer.of(receipt.type), body]);
}

/** The `receiptsRoot` that exactly these receipts, in this order, give. */
export function receiptsRoot(receipts: readonly Receipt[]): Buffer {
  return orderedTrieRoot(receipts.map((receipt) => receipt.encoded ?? encodeReceipt(receipt)));
}

/** OR of the receipts' blooms: the block's `logsBloom`. */
export function unionOfBlooms(receipts: readonly Receipt[]): Buffer {
  const union = Buffer.alloc(256);
  for (const { logsBloom } of receipts) {
    for (let index = 0; index < 256; index++) union[index] = (union[index] as number) | (logsBloom[index] as number);
  }
  return union;
}
