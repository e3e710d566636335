import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BoundedCache } from './bounded-cache.js';

describe('bounded cache', () => {
  it('forgets what was used longest ago', () => {
    const cache = new BoundedCache<string, number>(2);
    cache.set('a', 1);
    cache.set('b', 2);
    cache.get('a');
    cache.set('c', 3);
    expect([cache.get('a'), cache.get('b'), cache.get('c')]).toEqual([1, undefined, 3]);
  });

  it('never weighs more than its limit, and never keeps what alone is too heavy', () => {
    const step = fc.tuple(fc.nat(5), fc.integer({ min: 1, max: 12 }));
    fc.assert(
      fc.property(fc.array(step), (steps) => {
        const cache = new BoundedCache<number, number>(10, (weight) => weight);
        for (const [key, weight] of steps) cache.set(key, weight);
        const kept = [0, 1, 2, 3, 4, 5].map((key) => cache.get(key) ?? 0);
        expect(kept.reduce((sum, weight) => sum + weight, 0)).toBeLessThanOrEqual(10);
      }),
    );
  });
});
