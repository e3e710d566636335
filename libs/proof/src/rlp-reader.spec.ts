import { encode } from '@ethereumjs/rlp';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { rlpCount, rlpInteger, rlpItem, rlpItems, rlpString, rlpStrings } from './rlp-reader.js';

type Item = Uint8Array | Item[];
const { item } = fc.letrec<{ item: Item }>((tie) => ({
  item: fc.oneof(
    { depthSize: 'small' },
    fc.uint8Array({ maxLength: 300 }),
    fc.array(tie('item'), { maxLength: 5 }) as fc.Arbitrary<Item>,
  ),
}));

function read(bytes: Buffer): Item {
  return (bytes[0] as number) >= 0xc0 ? rlpItems(bytes).map(read) : Uint8Array.from(rlpString(bytes));
}

describe('reading RLP', () => {
  it('gives what @ethereumjs/rlp encoded', () => {
    fc.assert(
      fc.property(item, (it) => {
        expect(read(Buffer.from(encode(it)))).toEqual(it);
      }),
    );
  });

  it('gives one item, or their number, as the whole list does', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 80 }), { minLength: 1 }), fc.nat(), (list, any) => {
        const bytes = Buffer.from(encode(list));
        expect(rlpCount(bytes)).toBe(list.length);
        expect(rlpStrings(bytes)).toEqual(list.map((it) => Buffer.from(it)));
        expect(() => rlpStrings(Buffer.from(encode([list])))).toThrow(RangeError);
        expect(rlpString(rlpItem(bytes, any % list.length))).toEqual(Buffer.from(list[any % list.length]!));
        expect(() => rlpItem(bytes, list.length)).toThrow(RangeError);
      }),
    );
  });

  it('gives integers of any size', () => {
    fc.assert(
      fc.property(fc.bigInt(0n, 2n ** 256n - 1n), (value) => {
        expect(rlpInteger(Buffer.from(encode(value)))).toBe(value);
      }),
    );
  });

  it('refuses what is cut short or has something behind it', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ minLength: 1, maxLength: 80 }), { minLength: 1 }), (list) => {
        const bytes = Buffer.from(encode(list));
        expect(() => rlpItems(bytes.subarray(0, -1))).toThrow(RangeError);
        expect(() => rlpItems(Buffer.concat([bytes, Buffer.of(0)]))).toThrow(RangeError);
        expect(() => rlpString(bytes)).toThrow(RangeError);
      }),
    );
    expect(() => rlpItems(Buffer.of(0x83, 1, 2, 3))).toThrow(RangeError);
    expect(() => rlpItems(Buffer.of(0xc2, 0x83, 1))).toThrow(RangeError);
    expect(() => rlpItems(Buffer.of(0xfa, 0xff))).toThrow(RangeError);
    expect(() => rlpItems(Buffer.alloc(0))).toThrow(RangeError);
  });
});
