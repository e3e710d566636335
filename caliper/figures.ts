import { percentile } from '../bench/report.js';
import type { RoundSamples } from './launch.js';
import { type Cell, finalityDepth, type Operation, type Path } from './matrix.js';

/** One round's figures, as `--json` has them. Times are milliseconds from sending to confirmation, of the operations that succeeded. */
export interface Run extends Cell {
  path: Path;
  operation: Operation;
  /** operations a second that were offered */
  offered: number;
  /** confirmed operations a second, from the first sent to the last confirmed */
  throughput: number | null;
  minMs: number | null;
  avgMs: number | null;
  maxMs: number | null;
  p50Ms: number | null;
  p95Ms: number | null;
  p99Ms: number | null;
  succeeded: number;
  failed: number;
  /** of `sent`, in per cent */
  successRate: number;
  /** blocks, its own included, that make an act confirmed on this path; a view waits for none */
  confirmations: number;
  /** why those that failed did, with how many */
  failures: Record<string, number>;
}

const HUNG = 'did not end before the round was given up';

export function figuresOf(cell: Cell, path: Path, { round, samples }: RoundSamples): Run {
  const { operation, load, count } = round;
  const done = samples.filter(({ ok }) => ok);
  const times = done.map(({ ms }) => ms);
  const failures: Record<string, number> = {};
  for (const { ok, why = 'failed' } of samples) if (!ok) failures[why] = (failures[why] ?? 0) + 1;
  if (samples.length < count) failures[HUNG] = count - samples.length;
  const first = Math.min(...samples.map(({ at }) => at));
  const last = Math.max(...done.map(({ at, ms }) => at + ms));
  const of = (figure: (values: number[]) => number) => (times.length === 0 ? null : rounded(figure(times)));
  return {
    ...{ ...cell, path, operation, offered: load },
    throughput: times.length === 0 || last <= first ? null : rounded(times.length / ((last - first) / 1_000)),
    minMs: of((values) => Math.min(...values)),
    avgMs: of((values) => values.reduce((sum, value) => sum + value, 0) / values.length),
    maxMs: of((values) => Math.max(...values)),
    p50Ms: of((values) => percentile(values, 50)),
    p95Ms: of((values) => percentile(values, 95)),
    p99Ms: of((values) => percentile(values, 99)),
    ...{ succeeded: done.length, failed: count - done.length, successRate: rounded((done.length / count) * 100) },
    confirmations: operation === 'query-view' ? 0 : path === 'direct' ? 1 : finalityDepth(cell),
    failures,
  };
}

const rounded = (value: number) => Math.round(value * 10) / 10;
