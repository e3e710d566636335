/** 0x-prefixed lower-case hex of `bytes`. */
export function toHex(bytes: Uint8Array): string {
  return `0x${Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex')}`;
}

/** Bytes of 0x-prefixed hex. @throws RangeError when it isn't hex, or not `length` bytes long where a length is given. */
export function fromHex(hex: string, length?: number): Buffer {
  if (!/^0x([0-9a-fA-F]{2})*$/.test(hex)) throw new RangeError('not 0x-prefixed hex of whole bytes');
  const bytes = Buffer.from(hex.slice(2), 'hex');
  if (length !== undefined && bytes.length !== length) {
    throw new RangeError(`${bytes.length} bytes where ${length} are needed`);
  }
  return bytes;
}
