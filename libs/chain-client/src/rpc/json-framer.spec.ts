import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { JsonFramer } from './json-framer.js';

describe('JsonFramer', () => {
  it('gives back every value however the stream is cut', () => {
    const values = fc.array(
      fc.oneof(fc.object(), fc.array(fc.jsonValue()), fc.record({ text: fc.string({ unit: 'binary' }) })),
      {
        maxLength: 8,
      },
    );
    fc.assert(
      fc.property(
        values,
        fc.constantFrom('', '\n', ' \r\n'),
        fc.infiniteStream(fc.integer({ min: 1, max: 40 })),
        (all, gap, sizes) => {
          const texts = all.map((value) => JSON.stringify(value));
          const stream = Buffer.from(texts.map((text) => text + gap).join(''));
          const framer = new JsonFramer();
          const found: string[] = [];
          for (let at = 0; at < stream.length; ) {
            const size = sizes.next().value as number;
            found.push(...framer.push(stream.subarray(at, at + size)).map(String));
            at += size;
          }
          expect(found).toEqual(texts);
        },
      ),
    );
  });

  it('refuses a value without end', () => {
    const framer = new JsonFramer(100);
    framer.push(Buffer.from(`{"a":"${'x'.repeat(80)}`));
    expect(() => framer.push(Buffer.alloc(80, 0x78))).toThrow(RangeError);
  });
});
