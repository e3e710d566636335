import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { allocate, binaryArray, type ColumnType, type ColumnValue, elementSize, writeElement } from './binary-array.js';

/** What `writeElement` writes, by Buffer's own methods. */
function expected(type: ColumnType, value: ColumnValue): Buffer {
  if (value === null) return Buffer.from('ffffffff', 'hex');
  const content = {
    bytea: () => value as Buffer,
    text: () => Buffer.from(value as string),
    bool: () => Buffer.of(value ? 1 : 0),
    int8: () =>
      Buffer.from(
        BigInt.asUintN(64, value as bigint)
          .toString(16)
          .padStart(16, '0'),
        'hex',
      ),
    int4: () => Buffer.from(((value as number) >>> 0).toString(16).padStart(8, '0'), 'hex'),
    int2: () => Buffer.from(((value as number) & 0xffff).toString(16).padStart(4, '0'), 'hex'),
  }[type]();
  return Buffer.concat([Buffer.from(content.length.toString(16).padStart(8, '0'), 'hex'), content]);
}

const element = fc.oneof(
  fc.tuple(fc.constant<ColumnType>('int8'), fc.option(fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n))),
  fc.tuple(fc.constant<ColumnType>('int4'), fc.option(fc.integer({ min: -0x8000_0000, max: 0x7fff_ffff }))),
  fc.tuple(fc.constant<ColumnType>('int2'), fc.option(fc.integer({ min: -0x8000, max: 0x7fff }))),
  fc.tuple(fc.constant<ColumnType>('bool'), fc.option(fc.boolean())),
  fc.tuple(fc.constant<ColumnType>('text'), fc.option(fc.string({ unit: 'grapheme' }))),
  fc.tuple(fc.constant<ColumnType>('bytea'), fc.option(fc.uint8Array().map((bytes) => Buffer.from(bytes)))),
);

describe('values in Postgres’ binary form', () => {
  it('are a length and the value, one behind the other', () => {
    fc.assert(
      fc.property(fc.array(element), fc.nat(9), (elements, before) => {
        const size = elements.reduce((sum, [type, value]) => sum + elementSize(type, value), before);
        const target = allocate(size);
        let at = before;
        for (const [type, value] of elements) at = writeElement(target, at, type, value);
        expect(at).toBe(size);
        const bytes = Buffer.concat(elements.map(([type, value]) => expected(type, value)));
        expect(target.bytes.subarray(before)).toEqual(bytes);
      }),
    );
  });

  it.each<[ColumnType, ColumnValue]>([
    ['int8', 2n ** 63n],
    ['int8', -(2n ** 63n) - 1n],
    ['int4', 2 ** 31],
    ['int4', -(2 ** 31) - 1],
    ['int2', 2 ** 15],
    ['int2', -(2 ** 15) - 1],
  ])('%s does not take %s for another number', (type, value) => {
    expect(() => binaryArray(type, [value])).toThrow(RangeError);
  });
});
