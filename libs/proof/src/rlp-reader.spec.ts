import { encode } from '@ethereumjs/rlp';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RlpReader } from './rlp-reader.js';

type Item = Uint8Array | Item[];
const { list } = fc.letrec<{ item: Item; list: Item[] }>((tie) => ({
  item: fc.oneof({ depthSize: 'small' }, fc.uint8Array({ maxLength: 300 }), tie('list')),
  list: fc.array(tie('item'), { maxLength: 5 }) as fc.Arbitrary<Item[]>,
}));

function read(reader: RlpReader): Item[] {
  const items: Item[] = [];
  while (reader.more) items.push(reader.atList ? read(reader.list()) : Uint8Array.from(reader.string()));
  return items;
}

const encoded = (items: Parameters<typeof encode>[0]) => Buffer.from(encode(items));
const over = (items: Parameters<typeof encode>[0]) => RlpReader.over(encoded(items));

describe('RlpReader', () => {
  it('gives what @ethereumjs/rlp encoded', () => {
    fc.assert(
      fc.property(list, (items) => {
        expect(read(over(items))).toEqual(items);
      }),
    );
  });

  it('gives any one item as it is encoded, and how many there are', () => {
    fc.assert(
      fc.property(list, fc.nat(), (items, any) => {
        expect(over(items).count()).toBe(items.length);
        expect(() => over(items).skip(items.length).item()).toThrow(RangeError);
        if (items.length === 0) return;
        const index = any % items.length;
        const reader = over(items).skip(index);
        expect(reader.item()).toEqual(encoded(items[index]!));
        expect(reader.count()).toBe(items.length - index - 1);
      }),
    );
  });

  it('gives strings and integers of any size, and begins where it is told', () => {
    fc.assert(
      fc.property(fc.array(fc.bigInt(0n, 2n ** 256n - 1n)), fc.uint8Array(), (values, before) => {
        const reader = RlpReader.over(Buffer.concat([before, encoded(values)]), before.length);
        for (const value of values) expect(reader.integer()).toBe(value);
        expect(reader.more).toBe(false);
        expect(over(values).strings().map(encoded)).toEqual(values.map(encoded));
      }),
    );
  });

  it('refuses what is cut short, has something behind it, or is of the other kind', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ minLength: 1, maxLength: 80 }), { minLength: 1 }), (strings) => {
        const bytes = encoded(strings);
        expect(() => RlpReader.over(bytes.subarray(0, -1))).toThrow(RangeError);
        expect(() => RlpReader.over(Buffer.concat([bytes, Buffer.of(0)]))).toThrow(RangeError);
        expect(() => RlpReader.over(bytes).list()).toThrow(RangeError);
        expect(() => over([strings]).string()).toThrow(RangeError);
        expect(() => over([strings]).integer()).toThrow(RangeError);
        expect(() => over([strings]).strings()).toThrow(RangeError);
      }),
    );
    for (const bytes of [[], [0x83, 1, 2, 3], [0xfa, 0xff], [0xff, 1, 1, 1, 1, 1, 1, 1, 1]]) {
      expect(() => RlpReader.over(Buffer.from(bytes))).toThrow(RangeError);
    }
    // An item that reaches beyond its list, and into what follows that.
    const inner = RlpReader.over(Buffer.of(0xc4, 0xc2, 0x83, 1, 1)).list();
    for (const ask of ['item', 'string', 'integer', 'skip', 'count'] as const) {
      expect(() => inner[ask]()).toThrow(RangeError);
    }
  });
});
