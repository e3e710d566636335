export type Bytes = Uint8Array;

const EMPTY = Buffer.alloc(0);

/** An integer as RLP holds it: big-endian, no leading zero byte, zero as the empty string. */
export function integer(value: bigint | number): Buffer {
  if (value === 0n || value === 0) return EMPTY;
  const hex = value.toString(16);
  return Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex');
}
