import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createLogger } from '../../../platform/src/logger.js';
import { followHeads, Gate } from './gate.js';
import type { SubmissionNetwork } from './submission.network.js';

const settle = () => vi.advanceTimersByTimeAsync(0);

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe('a gate', () => {
  let gate: Gate;
  let left: bigint[];
  const leave = (nonce: bigint) => void gate.turn(nonce).then(() => left.push(nonce));

  beforeEach(() => {
    gate = new Gate();
    left = [];
  });

  it('is open while no head was heard of', async () => {
    leave(7n);
    await settle();
    expect(left).toEqual([7n]);
  });

  it('lets out what begins with the next nonce, and keeps what lies behind it until that is in a block', async () => {
    gate.onHead(7n);
    leave(7n);
    await settle();
    leave(8n);
    await settle();
    expect(left).toEqual([7n]);
    gate.onHead(7n); // a block of others
    await settle();
    expect(left).toEqual([7n]);
    gate.onHead(8n);
    await settle();
    expect(left).toEqual([7n, 8n]);
  });

  it('lets a nonce out that the chain has behind it already, as after a reorganisation that brought others in', async () => {
    gate.onHead(9n);
    leave(7n);
    await settle();
    expect(left).toEqual([7n]);
  });

  it('opens by itself where the block does not come', async () => {
    gate.onHead(7n);
    leave(8n);
    await vi.advanceTimersByTimeAsync(99);
    expect(left).toEqual([]);
    await vi.advanceTimersByTimeAsync(1);
    expect(left).toEqual([8n]);
    leave(9n);
    await vi.advanceTimersByTimeAsync(99);
    expect(left).toEqual([8n]);
    await vi.advanceTimersByTimeAsync(1);
    expect(left).toEqual([8n, 9n]);
  });

  it('opens when nothing is known any more', async () => {
    gate.onHead(7n);
    leave(8n);
    gate.onHead(undefined);
    await settle();
    expect(left).toEqual([8n]);
  });
});

describe('following heads', () => {
  const address = Buffer.alloc(20, 1);
  const logger = createLogger('test', 'fatal');

  it('tells the nonce at each head, and nothing of a question that a later one overtook', async () => {
    let announce: () => void = () => undefined;
    const answers: ((nonce: bigint) => void)[] = [];
    const close = vi.fn(async () => undefined);
    const reader = {
      onHead: async (onItem: () => void) => {
        announce = onItem;
        return { close };
      },
      transactionCount: () => new Promise<bigint>((answer) => answers.push(answer)),
    };
    const told: (bigint | undefined)[] = [];
    const gate = { onHead: (next: bigint | undefined) => void told.push(next) } as Gate;
    const end = followHeads({ name: 'local', reader } as unknown as SubmissionNetwork, [{ address, gate }], logger);
    await settle();
    announce();
    announce();
    answers[1]!(6n);
    answers[0]!(5n);
    await settle();
    expect(told).toEqual([6n]);
    await end();
    expect(close).toHaveBeenCalledOnce();
  });

  it('asks again where the node is not there yet, and no more when it is ended', async () => {
    const onHead = vi.fn(() => Promise.reject(new Error('refused')));
    const network = { name: 'local', reader: { onHead } } as unknown as SubmissionNetwork;
    const end = followHeads(network, [], logger);
    await vi.advanceTimersByTimeAsync(2_000);
    expect(onHead).toHaveBeenCalledTimes(3);
    await end();
    await vi.advanceTimersByTimeAsync(5_000);
    expect(onHead).toHaveBeenCalledTimes(3);
  });
});
