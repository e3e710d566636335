import { describe, expect, it } from 'vitest';
import { percentile } from './report.js';

describe('percentile', () => {
  it('takes the nearest rank of unsorted values', () => {
    const values = Array.from({ length: 100 }, (_, i) => 100 - i);
    expect(percentile(values, 50)).toBe(50);
    expect(percentile(values, 99)).toBe(99);
    expect(percentile(values, 100)).toBe(100);
  });

  it('has no value for no values', () => {
    expect(percentile([], 50)).toBeNaN();
  });
});
