import type { DataSource } from 'typeorm';
import { afterEach, expect, it, vi } from 'vitest';
import type { GatewayEnv } from '../gateway.env.js';
import { QueueDepth } from './queue-depth.js';

afterEach(() => vi.useRealTimers());

it('turns nobody away because of an old figure', async () => {
  vi.useFakeTimers({ toFake: ['performance'] });
  let waiting = 10;
  const query = async () => [{ waiting }];
  const depth = new QueueDepth({ query } as unknown as DataSource, { QUEUE_DEPTH_LIMIT: 10 } as unknown as GatewayEnv);
  await expect(depth.admit(1)).rejects.toMatchObject({ code: 'QUEUE_FULL' });
  waiting = 0;
  await expect(depth.admit(1)).rejects.toMatchObject({ code: 'QUEUE_FULL' });
  vi.advanceTimersByTime(60_000);
  await depth.admit(10);
  await expect(depth.admit(1)).rejects.toMatchObject({ code: 'QUEUE_FULL' });
});
