import { describe, expect, it } from 'vitest';
import { ProblemError } from '../../../../libs/platform/src/errors.js';
import { parseIdempotencyKey, parseIfMatch, parsePrefer } from './request-headers.js';

function codeOf(work: () => unknown): string | undefined {
  try {
    work();
  } catch (error) {
    return error instanceof ProblemError ? error.code : 'other';
  }
  return undefined;
}

describe('Prefer', () => {
  it('honours wait and return, whatever else stands beside them', () => {
    expect(parsePrefer('respond-async, wait=5; x=1, Return="representation"')).toEqual({
      waitSeconds: 5,
      representation: true,
    });
  });

  it('waits thirty seconds at most, and takes the first of a repeated preference', () => {
    expect(parsePrefer('wait=600, wait=1').waitSeconds).toBe(30);
  });

  it('ignores what is ill-formed', () => {
    for (const header of [undefined, '', 'wait=-1', 'wait=1.5', 'wait', 'return=minimal', ',,;=;']) {
      expect(parsePrefer(header)).toEqual({ waitSeconds: 0, representation: false });
    }
  });
});

describe('Idempotency-Key', () => {
  it('is 1 to 128 visible ASCII characters', () => {
    expect(parseIdempotencyKey('a'.repeat(128))).toHaveLength(128);
    for (const header of [undefined, '', 'a b', 'é', 'a'.repeat(129), ['a', 'b'], 'a, b']) {
      expect(codeOf(() => parseIdempotencyKey(header))).toBe('IDEMPOTENCY_KEY_MISSING');
    }
  });
});

describe('If-Match', () => {
  it('gives the version of a strong tag', () => {
    expect(parseIfMatch('"v3"')).toBe(3);
  });

  it('is asked for when absent, and fails when it can match nothing', () => {
    expect(codeOf(() => parseIfMatch(undefined))).toBe('PRECONDITION_REQUIRED');
    for (const header of ['W/"v3"', '*', 'v3', '"v0"', '"3"', '"v3", "v4"']) {
      expect(codeOf(() => parseIfMatch(header))).toBe('PRECONDITION_FAILED');
    }
  });
});
