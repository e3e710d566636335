/** The 32-byte words of Ethereum's ABI, as far as the ledger uses them: static types only. */
export type WordType = 'uint8' | 'uint16' | 'uint32' | 'uint64' | 'bool' | 'address' | 'bytes32';

/** What a word of each type is in the program: bytes as Buffer (20 or 32 long), up to 32 bits as number, 64 as bigint. */
export type WordValue<T extends WordType> = T extends 'bytes32' | 'address'
  ? Buffer
  : T extends 'uint64'
    ? bigint
    : T extends 'bool'
      ? boolean
      : number;

export type Layout = Readonly<Record<string, WordType>>;
export type Values<L extends Layout> = { -readonly [K in keyof L]: WordValue<L[K]> };

const maxima = { uint8: 0xff, uint16: 0xffff, uint32: 0xffff_ffff } as const;

/**
 * Writes `value` as one word at `offset` of a zeroed buffer.
 * @throws RangeError when it doesn't fit its type
 */
export function writeWord(target: Buffer, offset: number, type: WordType, value: unknown, name: string): void {
  switch (type) {
    case 'bytes32':
      target.set(bytesOf(value, 32, name), offset);
      return;
    case 'address':
      target.set(bytesOf(value, 20, name), offset + 12);
      return;
    case 'uint64':
      if (typeof value !== 'bigint' || value < 0n || value > 0xffff_ffff_ffff_ffffn) {
        throw new RangeError(`${name} is no uint64`);
      }
      target.writeBigUInt64BE(value, offset + 24);
      return;
    case 'bool':
      if (typeof value !== 'boolean') throw new RangeError(`${name} is no boolean`);
      target[offset + 31] = value ? 1 : 0;
      return;
    default:
      if (typeof value !== 'number' || !Number.isInteger(value) || value < 0 || value > maxima[type]) {
        throw new RangeError(`${name} is no ${type}`);
      }
      target.writeUInt32BE(value, offset + 28);
  }
}

/** Reads one word. @throws RangeError when the word has bits its type can't hold */
export function readWord(source: Buffer, offset: number, type: WordType): Buffer | bigint | boolean | number {
  switch (type) {
    case 'bytes32':
      return source.subarray(offset, offset + 32);
    case 'address':
      assertZero(source, offset, 12);
      return source.subarray(offset + 12, offset + 32);
    case 'uint64':
      assertZero(source, offset, 24);
      // One bigint, where putting together two halves makes four.
      return source.readUInt32BE(offset + 24) === 0
        ? BigInt(source.readUInt32BE(offset + 28))
        : source.readBigUInt64BE(offset + 24);
    default: {
      assertZero(source, offset, 28);
      const value = source.readUInt32BE(offset + 28);
      if (type === 'bool') {
        if (value > 1) throw new RangeError('word is no bool');
        return value === 1;
      }
      if (value > maxima[type]) throw new RangeError(`word is no ${type}`);
      return value;
    }
  }
}

function bytesOf(value: unknown, length: number, name: string): Uint8Array {
  if (!(value instanceof Uint8Array) || value.length !== length) throw new RangeError(`${name} is not ${length} bytes`);
  return value;
}

function assertZero(source: Buffer, offset: number, length: number): void {
  // By fours: every length asked for is a multiple of four, and this is the hot path of event decoding.
  for (let at = offset; at < offset + length; at += 4) {
    if (source.readUInt32BE(at) !== 0) throw new RangeError('word has bits beyond its type');
  }
}
