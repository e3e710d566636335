import type { DataSource } from 'typeorm';
import { afterEach, expect, it, vi } from 'vitest';
import type { GatewayEnv } from '../gateway.env.js';
import { QueueDepth } from './queue-depth.js';

afterEach(() => vi.useRealTimers());

/** @param waiting acts that wait, by network */
function depthOver(waiting: Record<string, number>, limit: number): QueueDepth {
  const query = async (_sql: string, [network]: [string]) => [{ waiting: waiting[network] ?? 0 }];
  return new QueueDepth({ query } as unknown as DataSource, { QUEUE_DEPTH_LIMIT: limit } as unknown as GatewayEnv);
}

it('turns nobody away because of an old figure', async () => {
  vi.useFakeTimers({ toFake: ['performance'] });
  const waiting = { local: 10 };
  const depth = depthOver(waiting, 10);
  await expect(depth.admit(['local'])).rejects.toMatchObject({ code: 'QUEUE_FULL' });
  waiting.local = 0;
  await expect(depth.admit(['local'])).rejects.toMatchObject({ code: 'QUEUE_FULL' });
  vi.advanceTimersByTime(60_000);
  await depth.admit(Array(10).fill('local'));
  await expect(depth.admit(['local'])).rejects.toMatchObject({ code: 'QUEUE_FULL' });
});

it('counts each network for itself, and an act of several networks on all of them or on none', async () => {
  const depth = depthOver({ global: 9, local: 0 }, 10);
  await depth.admit(['global', 'local']);
  await expect(depth.admit(['global', 'local'])).rejects.toMatchObject({ code: 'QUEUE_FULL' });
  await expect(depth.admit(['global'])).rejects.toMatchObject({ code: 'QUEUE_FULL' });
  // One place went to the act that was let in, none to those that were not.
  for (let act = 0; act < 9; act++) await depth.admit(['local']);
  await expect(depth.admit(['local'])).rejects.toMatchObject({ code: 'QUEUE_FULL' });
});
