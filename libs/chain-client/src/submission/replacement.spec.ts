import { describe, expect, it } from 'vitest';
import { raisedPrice } from './replacement.js';

describe('the price of a replacement', () => {
  it.each([
    [0n, 1n],
    [1n, 2n],
    [9n, 10n],
    [10n, 11n],
    [11n, 13n],
    [1_000_000_000n, 1_100_000_000n],
  ])('is a tenth more than %s, rounded up, and never the same', (price, least) => {
    expect(raisedPrice(price)).toBe(least);
  });
});
