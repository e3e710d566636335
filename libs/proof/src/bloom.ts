import { keccak256 } from '../../platform/src/keccak.js';
import type { Bytes } from './rlp.js';

// Addresses, event signatures and record ids come again and again; at about 200 bytes each a bound of some 2 MB.
const KNOWN_VALUES = 10_000;
/** A topic's. What is longer is none, and whoever tells it may tell megabytes. */
const LONGEST_KNOWN = 32;

/** Of values seen before, their three bits. */
const known = new Map<string, readonly number[]>();

/** A receipt's bloom: three of 2,048 bits for each log's address and topics. Source: Ethereum Yellow Paper, 4.3.1. */
export function bloomOf(logs: readonly { address: Bytes; topics: readonly Bytes[] }[]): Buffer {
  const bloom = Buffer.allocUnsafe(256).fill(0);
  for (const { address, topics } of logs) {
    add(bloom, address);
    for (const topic of topics) add(bloom, topic);
  }
  return bloom;
}

function add(bloom: Buffer, value: Bytes): void {
  for (const bit of bitsOf(value)) bloom[255 - (bit >> 3)] = (bloom[255 - (bit >> 3)] as number) | (1 << (bit & 7));
}

function bitsOf(value: Bytes): readonly number[] {
  if (value.length > LONGEST_KNOWN) return computed(value);
  const name = Buffer.from(value.buffer, value.byteOffset, value.length).toString('latin1');
  const seen = known.get(name);
  if (seen) return seen;
  const bits = computed(value);
  if (known.size >= KNOWN_VALUES) known.clear();
  known.set(name, bits);
  return bits;
}

function computed(value: Bytes): readonly number[] {
  const hash = keccak256(value);
  return [0, 2, 4].map((at) => hash.readUInt16BE(at) & 0x7ff);
}
