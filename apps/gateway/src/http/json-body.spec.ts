import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { checkJsonBytes, nestsDeeperThan } from './json-body.js';

function depthOf(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0;
  return 1 + Math.max(0, ...Object.values(value).map(depthOf));
}

describe('the look at a body before it is parsed', () => {
  it('finds the depth that parsing would find', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.nat(6), (value, limit) => {
        expect(nestsDeeperThan(Buffer.from(JSON.stringify(value)), limit)).toBe(depthOf(value) > limit);
      }),
    );
  });

  it('is not fooled by brackets and quotes within strings', () => {
    expect(nestsDeeperThan(Buffer.from('["[[[[\\"[[["]'), 1)).toBe(false);
  });

  it('refuses invalid UTF-8, U+0000 in either spelling, and depth', () => {
    for (const body of [Buffer.from([0x22, 0xff, 0x22]), Buffer.from('"\\u0000"'), Buffer.from([0x22, 0, 0x22])]) {
      expect(() => checkJsonBytes(body)).toThrow();
    }
    expect(() => checkJsonBytes(Buffer.from('['.repeat(90_000)))).toThrow('deeper');
    expect(() => checkJsonBytes(Buffer.from('{"name":"Zoë"}'))).not.toThrow();
  });
});
