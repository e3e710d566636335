import { keccak256 } from '../../platform/src/keccak.js';
import type { Bytes } from './rlp.js';

/** The head before the first event, of the ledger and of every record. */
export const ZERO_HEAD = Buffer.alloc(32);

/** keccak256(topics ‖ data) of a sequenced event; block and time are left out, so that the same history has the same leaves anywhere. */
export function leafOf(log: { topics: readonly Bytes[]; data: Bytes }): Buffer {
  return keccak256(...log.topics, log.data);
}

// Filled anew for each fold: the first 24 bytes of the middle word stay zero.
const words = Buffer.alloc(96);
const wordsView = new DataView(words.buffer, words.byteOffset, words.length);

/**
 * The head after an event: keccak256(previous head, sequence, leaf), each as one 32-byte word. Ledger and record heads alike.
 * @param previous 32 bytes
 * @param leaf 32 bytes
 */
export function foldHead(previous: Bytes, sequence: bigint, leaf: Bytes): Buffer {
  words.set(previous, 0);
  wordsView.setBigUint64(56, sequence);
  words.set(leaf, 64);
  return keccak256(words);
}
