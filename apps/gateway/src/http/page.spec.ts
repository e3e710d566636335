import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { decodeCursor, encodeCursor } from './page.js';

const key = z.tuple([z.string(), z.number()]);

describe('cursors', () => {
  it('come back as they went', () => {
    fc.assert(
      fc.property(fc.string(), fc.integer(), (text, number) => {
        expect(decodeCursor('list', encodeCursor('list', [text, number]), key)).toEqual([text, number]);
      }),
    );
  });

  it('of another list, of another shape, or made up, are refused', () => {
    const good = encodeCursor('list', ['a', 1]);
    for (const cursor of [
      encodeCursor('other', ['a', 1]),
      encodeCursor('list', ['a']),
      `${good}=`,
      `${good} `,
      'x',
      '',
    ]) {
      expect(() => decodeCursor('list', cursor, key)).toThrow();
    }
    fc.assert(
      fc.property(fc.string(), (cursor) => {
        expect(() => decodeCursor('list', cursor, key)).toThrow();
      }),
    );
  });
});
