import { keccak256 } from '../../platform/src/keccak.js';
import { type Bytes, encodeRlp, integer } from './rlp.js';

/** A node as its parent holds it: its own structure while shorter than 32 bytes of RLP, else its hash. */
type Reference = Uint8Array | Reference[];

interface Entry {
  nibbles: Uint8Array;
  value: Bytes;
}

/** Root of the trie without entries: keccak256 of the RLP of the empty string. */
export const EMPTY_TRIE_ROOT = keccak256(encodeRlp(Buffer.alloc(0)));

/**
 * Root of the Merkle-Patricia trie that maps rlp(index) to each value: how a block commits to its transactions and receipts.
 * All keys are known and sorted, so each node is built once, from the leaves up; nothing is inserted and nothing hashed twice.
 * Source: Ethereum Yellow Paper, appendix D.
 */
export function orderedTrieRoot(values: readonly Bytes[]): Buffer {
  if (values.length === 0) return EMPTY_TRIE_ROOT;
  const entries = sortedKeys(values.length).map(({ index, nibbles }) => ({ nibbles, value: values[index] as Bytes }));
  return keccak256(encodeRlp(build(entries, 0, entries.length, 0)));
}

/** Children first in key order: as byte strings 0x01–0x7f (1 to 127) come before 0x80 (0), and that before 0x8180 (128 and up). */
function sortedKeys(count: number): { index: number; nibbles: Uint8Array }[] {
  const keys: { index: number; nibbles: Uint8Array }[] = [];
  const add = (index: number) => keys.push({ index, nibbles: toNibbles(encodeRlp(integer(index))) });
  for (let index = 1; index < Math.min(count, 128); index++) add(index);
  add(0);
  for (let index = 128; index < count; index++) add(index);
  return keys;
}

/** The node over entries [from, to), which agree in their first `depth` nibbles. */
function build(entries: readonly Entry[], from: number, to: number, depth: number): Reference[] {
  const first = entries[from] as Entry;
  if (to - from === 1) return [hexPrefix(first.nibbles.subarray(depth), true), first.value];

  // Sorted, so what the first and last have in common all have.
  const last = entries[to - 1] as Entry;
  let shared = depth;
  while (shared < first.nibbles.length && first.nibbles[shared] === last.nibbles[shared]) shared++;
  if (shared > depth) {
    return [hexPrefix(first.nibbles.subarray(depth, shared), false), reference(build(entries, from, to, shared))];
  }

  // No rlp(index) is the beginning of another, so a branch never holds a value of its own.
  const branch: Reference[] = new Array(17).fill(NOTHING);
  let start = from;
  while (start < to) {
    const nibble = (entries[start] as Entry).nibbles[depth] as number;
    let end = start + 1;
    while (end < to && (entries[end] as Entry).nibbles[depth] === nibble) end++;
    branch[nibble] = reference(build(entries, start, end, depth + 1));
    start = end;
  }
  return branch;
}

const NOTHING = new Uint8Array(0);

function reference(node: Reference[]): Reference {
  const encoded = encodeRlp(node);
  return encoded.length < 32 ? node : keccak256(encoded);
}

/** Nibbles packed into bytes, with the flags for an odd count and for a leaf in the first nibble. */
function hexPrefix(nibbles: Uint8Array, leaf: boolean): Uint8Array {
  const odd = nibbles.length % 2;
  const packed = new Uint8Array(((nibbles.length - odd) >> 1) + 1);
  packed[0] = ((leaf ? 2 : 0) + odd) << 4;
  if (odd === 1) packed[0] |= nibbles[0] as number;
  for (let from = odd, to = 1; from < nibbles.length; from += 2, to++) {
    packed[to] = ((nibbles[from] as number) << 4) | (nibbles[from + 1] as number);
  }
  return packed;
}

function toNibbles(bytes: Uint8Array): Uint8Array {
  const nibbles = new Uint8Array(bytes.length * 2);
  for (let index = 0; index < bytes.length; index++) {
    nibbles[index * 2] = (bytes[index] as number) >> 4;
    nibbles[index * 2 + 1] = (bytes[index] as number) & 15;
  }
  return nibbles;
}
