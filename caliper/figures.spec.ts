import { describe, expect, it } from 'vitest';
import { figuresOf } from './figures.js';
import type { Sample } from './launch.js';

const cell = { consensus: 'clique-1', difficulty: 'low', miners: 3 } as const;
const round = { operation: 'open', count: 100, load: 10 } as const;
/** Sent 100 ms apart, 1 to 100 ms long. */
const samples: Sample[] = Array.from({ length: 100 }, (_, i) => ({ at: 1_000 + 100 * i, ms: i + 1, ok: true }));

describe('the figures of a round', () => {
  it('have the keys that others read, and the round in them', () => {
    expect(figuresOf(cell, 'direct', { round, samples })).toEqual({
      ...{ consensus: 'clique-1', difficulty: 'low', miners: 3, path: 'direct', operation: 'open', offered: 10 },
      ...{ throughput: 10, minMs: 1, avgMs: 50.5, maxMs: 100, p50Ms: 50, p95Ms: 95, p99Ms: 99 },
      ...{ succeeded: 100, failed: 0, successRate: 100, confirmations: 1, failures: {} },
    });
  });

  it('count what was refused and what never ended as failed, and leave its times out', () => {
    const some = samples.slice(0, 90).map((one) => (one.ms > 50 ? { ...one, ok: false, why: 'AccessDenied' } : one));
    expect(figuresOf(cell, 'gateway', { round, samples: some })).toMatchObject({
      ...{ succeeded: 50, failed: 50, successRate: 50, maxMs: 50, p99Ms: 50, confirmations: 4 },
      failures: { AccessDenied: 40, 'did not end before the round was given up': 10 },
    });
  });

  it('are empty, not zero, where nothing succeeded', () => {
    expect(figuresOf(cell, 'direct', { round, samples: [] })).toMatchObject({
      ...{ throughput: null, minMs: null, avgMs: null, p99Ms: null, succeeded: 0, failed: 100, successRate: 0 },
    });
  });

  it('wait for no block where nothing is written', () => {
    const view = { ...round, operation: 'query-view' } as const;
    expect(figuresOf(cell, 'gateway', { round: view, samples }).confirmations).toBe(0);
  });
});
