import { keccak256 } from '../../platform/src/keccak.js';

/** Storage slot of `_records` (solidity/LedgerCore.sol); `_sequence` and `_head` have 0 and 1. */
const RECORDS_SLOT = 2;

/** Slots of a record that its history is proven by: the first holds its sequence in the lowest 8 bytes, the second its head. */
export function recordSlots(recordId: Buffer): { sequence: Buffer; head: Buffer } {
  const mapping = Buffer.alloc(32);
  mapping.writeUInt8(RECORDS_SLOT, 31);
  const first = keccak256(recordId, mapping);
  const second = (BigInt(`0x${first.toString('hex')}`) + 1n).toString(16).padStart(64, '0');
  return { sequence: first, head: Buffer.from(second, 'hex') };
}
