import { RLP } from '@ethereumjs/rlp';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodeRlp, joinRlp, type RlpItem } from './rlp.js';

const { item } = fc.letrec<{ item: RlpItem }>((tie) => ({
  item: fc.oneof(
    { depthSize: 'small' },
    fc.uint8Array({ maxLength: 70 }),
    fc.array(tie('item'), { maxLength: 8 }) as fc.Arbitrary<RlpItem>,
  ),
}));

describe('encodeRlp', () => {
  it('agrees with @ethereumjs/rlp', () => {
    fc.assert(
      fc.property(item, (value) => {
        expect(encodeRlp(value)).toEqual(Buffer.from(RLP.encode(value as Uint8Array)));
      }),
    );
  });

  it.each([0, 1, 55, 56, 255, 256, 65_535, 65_536, 131_072])('agrees on strings and lists of %i bytes', (length) => {
    const value = Buffer.alloc(length, 0x90);
    expect(encodeRlp(value).equals(RLP.encode(value))).toBe(true);
    expect(encodeRlp([value]).equals(RLP.encode([value]))).toBe(true);
    expect(joinRlp([encodeRlp(value), encodeRlp([])]).equals(RLP.encode([value, []]))).toBe(true);
  });
});
