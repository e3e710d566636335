import type { PoolClient } from 'pg';
import { describe, expect, it } from 'vitest';
import { RpcError } from '../../../../libs/chain-client/src/rpc/rpc.error.js';
import type { NetworkConfig } from '../../../../libs/platform/src/networks.js';
import type { BesideCheckpoint, Checkpoint } from '../commit/checkpoint.js';
import type { PostgresMirror } from '../commit/postgres.mirror.js';
import { MismatchError } from '../verify/mismatch.error.js';
import type { ChainSource } from './chain-source.js';
import { Checkpoints } from './checkpoints.js';

/** A mirror in which a checkpoint is due at each block, and a node that answers when told to. */
function bench() {
  const kept: { number: bigint; beside: BesideCheckpoint }[] = [];
  const mirror = {
    dueCheckpoint: async (number: bigint) => ({ number }) as Checkpoint,
    keepCheckpoint: async ({ number }: Checkpoint, beside: BesideCheckpoint) => void kept.push({ number, beside }),
  } as unknown as PostgresMirror;
  const answers: ((failure: Error) => void)[] = [];
  const source: Partial<ChainSource> = { stateProof: () => new Promise((_, reject) => answers.push(reject)) };
  const log = { log: () => undefined, warn: () => undefined, error: () => undefined };
  const checkpoints = new Checkpoints({ name: 'local' } as NetworkConfig, source as ChainSource, undefined, log);
  const take = (number: bigint) => checkpoints.take(mirror, {} as PoolClient, number, []);
  const keep = () => checkpoints.keep(mirror, {} as PoolClient);
  const pruned = new RpcError('pruned', { method: 'eth_getProof', retryable: false, code: -32_000 });
  const late: string[] = [];
  const keepAfter = (following: Promise<void>) =>
    checkpoints.keepAfter(
      following,
      mirror,
      {} as PoolClient,
      async (error) => void late.push((error as Error).message),
    );
  return { kept, take, keep, keepAfter, late, answers, pruned };
}

describe('checkpoints', () => {
  it('are asked about without waiting, and kept before the next is asked about', async () => {
    const { kept, take, answers, pruned } = bench();
    await take(1n);
    expect(answers).toHaveLength(1);
    expect(kept).toEqual([]);
    const next = take(2n);
    answers[0]?.(pruned);
    await next;
    expect(kept).toEqual([{ number: 1n, beside: { missing: 'pruned', witnessHash: undefined } }]);
    expect(answers).toHaveLength(2);
  });

  it('are kept once, when nothing comes after them as well', async () => {
    const { kept, take, keep, answers, pruned } = bench();
    await take(1n);
    answers[0]?.(pruned);
    await keep();
    await keep();
    expect(kept.map(({ number }) => number)).toEqual([1n]);
  });

  it('are kept when following ends, and when it fails', async () => {
    const { kept, take, keepAfter, late, answers, pruned } = bench();
    await take(1n);
    answers[0]?.(pruned);
    await keepAfter(Promise.resolve());
    await take(2n);
    answers[1]?.(pruned);
    await expect(keepAfter(Promise.reject(new Error('no more blocks')))).rejects.toThrow('no more blocks');
    expect(kept.map(({ number }) => number)).toEqual([1n, 2n]);
    expect(late).toEqual([]);
  });

  it('say what is wrong with the answer even where following failed', async () => {
    const { take, keepAfter, late, answers } = bench();
    await take(1n);
    answers[0]?.(new MismatchError(1n, Buffer.alloc(32), 'another head.'));
    await expect(keepAfter(Promise.reject(new Error('no more blocks')))).rejects.toThrow('no more blocks');
    expect(late).toEqual([expect.stringContaining('another head.')]);
    await take(2n);
    answers[1]?.(new MismatchError(2n, Buffer.alloc(32), 'another head.'));
    await expect(keepAfter(Promise.resolve())).rejects.toThrow(MismatchError);
  });

  it('are not kept when the node could not be asked: it is due again', async () => {
    const { kept, take, keep, answers } = bench();
    await take(1n);
    answers[0]?.(new Error('connection lost'));
    // Nobody waits for the answer yet: it must not end the process.
    await new Promise((resolve) => setImmediate(resolve));
    await expect(keep()).rejects.toThrow('connection lost');
    await keep();
    expect(kept).toEqual([]);
  });
});
