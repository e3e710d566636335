import fc, { type Stream } from 'fast-check';
import { describe, expect, it } from 'vitest';
import { JsonFramer } from './json-framer.js';

describe('JsonFramer', () => {
  const object = fc.oneof(fc.object(), fc.record({ text: fc.string({ unit: 'binary' }) }));
  const gap = fc.constantFrom('', '\n', ' \r\n');
  const cuts = fc.infiniteStream(fc.integer({ min: 1, max: 40 }));
  const framed = (framer: JsonFramer, stream: Buffer, sizes: Stream<number>) => {
    const found: string[] = [];
    for (let at = 0; at < stream.length; ) {
      const size = sizes.next().value as number;
      found.push(...framer.push(stream.subarray(at, at + size)).map(String));
      at += size;
    }
    return found;
  };

  it('gives back every value however the stream is cut', () => {
    const values = fc.array(fc.oneof(object, fc.array(fc.jsonValue())), { maxLength: 8 });
    fc.assert(
      fc.property(values, gap, cuts, (all, between, sizes) => {
        const texts = all.map((value) => JSON.stringify(value));
        const stream = Buffer.from(texts.map((text) => text + between).join(''));
        expect(framed(new JsonFramer(), stream, sizes)).toEqual(texts);
      }),
    );
  });

  it('gives what batches hold one by one where that is asked for', () => {
    const messages = fc.array(fc.oneof(object, fc.array(object)), { maxLength: 8 });
    fc.assert(
      fc.property(messages, gap, cuts, (all, between, sizes) => {
        const stream = Buffer.from(all.map((message) => JSON.stringify(message) + between).join(''));
        const objects = all.flat().map((value) => JSON.stringify(value));
        expect(framed(new JsonFramer({ batchesApart: true }), stream, sizes)).toEqual(objects);
      }),
    );
    const [first] = new JsonFramer({ batchesApart: true }).push(Buffer.from('[{"id":1,"result":[{"a":[1]}]},{"id":2,'));
    expect(String(first)).toBe('{"id":1,"result":[{"a":[1]}]}');
  });

  it('refuses a value without end', () => {
    const framer = new JsonFramer({ limitBytes: 100 });
    framer.push(Buffer.from(`{"a":"${'x'.repeat(80)}`));
    expect(() => framer.push(Buffer.alloc(80, 0x78))).toThrow(RangeError);
  });
});
