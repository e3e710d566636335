import { describe, expect, it } from 'vitest';
import { RateLimiter } from './rate-limiter.js';

describe('the rate limiter', () => {
  it('lets as many through as the window allows, and says how long to wait', () => {
    let now = 0;
    const limiter = new RateLimiter(2, 60_000, () => now);
    expect([limiter.take('a'), limiter.take('a'), limiter.take('b')]).toEqual([undefined, undefined, undefined]);
    now = 20_000;
    expect(limiter.take('a')).toBe(40);
    expect(limiter.exhausted('a')).toBe(40);
    expect(limiter.exhausted('b')).toBeUndefined();
    now = 60_000;
    expect(limiter.exhausted('a')).toBeUndefined();
    expect(limiter.take('a')).toBeUndefined();
  });
});
