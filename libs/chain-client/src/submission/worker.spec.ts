import type { DataSource } from 'typeorm';
import { expect, it, vi } from 'vitest';
import { createLogger } from '../../../platform/src/logger.js';
import { localSigner } from '../keys/signer.js';
import type { NamedOperation } from './operation.insert.js';
import type { Accepted } from './operation.types.js';
import { defaultLimits, type SubmissionNetwork } from './submission.network.js';
import { SubmissionWorker } from './worker.js';

it('looks again when what it waits for was mined while it looked', async () => {
  const full = { waiting: true, in_flight: defaultLimits.maxInFlight, slots: 0, position: 0, active: 1 };
  let answer: (rows: unknown[]) => void = () => undefined;
  const query = vi.fn(() => new Promise((resolve) => (answer = resolve)));
  const network = {
    ...{ name: 'local', limits: defaultLimits, maxGas: 1, assigning: true, aligned: true },
    signers: [localSigner(Buffer.alloc(32, 1))],
  } as unknown as SubmissionNetwork;
  const worker = new SubmissionWorker({
    ...{ dataSource: { query } as unknown as DataSource, networks: [network] },
    ...{ logger: createLogger('test', 'fatal'), failpoint: () => undefined },
    accept: () => Promise.reject(new Error('nothing is offered here')),
  });
  const drained = worker.drain('local');
  await vi.waitFor(() => expect(query).toHaveBeenCalledTimes(1));
  worker.mined('local');
  answer([full]);
  await vi.waitFor(() => expect(query).toHaveBeenCalledTimes(2));
  answer([{ ...full, waiting: false }]);
  await drained;
  // Nothing waits any more: blocks that are mined wake nobody.
  worker.mined('local');
  expect(query).toHaveBeenCalledTimes(2);
});

it('accepts what it holds when the table has more that goes first', async () => {
  const full = { waiting: true, in_flight: defaultLimits.maxInFlight, slots: 0, position: 0, active: 1 };
  const answers: ((rows: unknown[]) => void)[] = [];
  const query = vi.fn(() => new Promise((resolve) => answers.push(resolve)));
  const network = {
    ...{ name: 'local', limits: defaultLimits, maxGas: 1, assigning: true, aligned: true },
    signers: [localSigner(Buffer.alloc(32, 1))],
  } as unknown as SubmissionNetwork;
  const stored = { replayed: false } as Accepted;
  const accept = vi.fn(() => Promise.resolve(stored));
  const worker = new SubmissionWorker({
    ...{ dataSource: { query } as unknown as DataSource, networks: [network] },
    ...{ logger: createLogger('test', 'fatal'), failpoint: () => undefined, accept },
  });
  const drained = worker.drain('local');
  await vi.waitFor(() => expect(answers).toHaveLength(1));
  const act = { network: 'local', requestId: Buffer.alloc(32, 2) } as NamedOperation;
  const offered = worker.offer(act);
  // The table has more: blocks were mined while it was looked at.
  worker.mined('local');
  expect(accept).not.toHaveBeenCalled();
  answers[0]!([full]);
  await expect(offered).resolves.toBe(stored);
  expect(accept).toHaveBeenCalledExactlyOnceWith(act);
  await vi.waitFor(() => expect(answers).toHaveLength(2));
  answers[1]!([{ ...full, waiting: false }]);
  await drained;
});
