import { keccak256 } from '../../platform/src/keccak.js';
import type { Bytes } from './rlp.js';

/** The head before the first event, of the ledger and of every record. */
export const ZERO_HEAD = Buffer.alloc(32);

/** keccak256(topics ‖ data) of a sequenced event; block and time are left out, so that the same history has the same leaves anywhere. */
export function leafOf(log: { topics: readonly Bytes[]; data: Bytes }): Buffer {
  return keccak256(...log.topics, log.data);
}

/** The head after an event: keccak256(previous head, sequence, leaf), each as one 32-byte word. Ledger and record heads alike. */
export function foldHead(previous: Bytes, sequence: bigint, leaf: Bytes): Buffer {
  const word = Buffer.alloc(32);
  word.writeBigUInt64BE(sequence, 24);
  return keccak256(previous, word, leaf);
}
