import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { GuardedClient } from '../../libs/database/src/guarded-client.js';
import { findRedis, startRedis, type TestRedis } from '../stack/redis.js';
import { type Bench, type Clinician, perform, startBench } from './harness.js';

const redisServer = findRedis();
const NEVER = 3_600_000;

describe.each(['postgres', 'redis'])('a queue on %s', (kind) => {
  describe.skipIf(kind === 'redis' && redisServer === undefined)(
    redisServer === undefined && kind === 'redis' ? 'skipped: no redis-server on the PATH' : 'rings',
    () => {
      let bench: Bench;
      let clinician: Clinician;
      let redis: TestRedis | undefined;
      const queueUrl = () => redis?.url ?? bench.database.gatewayUrl;

      beforeAll(async () => {
        bench = await startBench();
        if (kind === 'redis') redis = await startRedis(redisServer!);
        const submission = await bench.submission({ queueUrl: queueUrl() });
        clinician = await bench.clinician(submission);
        await submission.stop();
      });
      afterAll(async () => {
        await bench?.stop();
        await redis?.stop();
      });

      it('wakes the worker of another process, without the sweeper', async () => {
        const worker = await bench.submission({ queueUrl: queueUrl(), sweepMs: NEVER });
        const front = await bench.submission({ queueUrl: queueUrl(), worker: false });
        const ends = await Promise.all(Array.from({ length: 20 }, () => perform(front, clinician.query())));
        expect(ends.every(({ state }) => state === 'confirmed')).toBe(true);
        expect(worker.worker.stats.acts).toBe(20);
        await front.stop();
        await worker.stop();
      });

      it('keeps no finished job', async () => {
        const submission = await bench.submission({ queueUrl: queueUrl() });
        await perform(submission, clinician.query());
        await submission.doorbell.ready();
        expect(await submission.doorbell.queue.getJobCounts('completed')).toMatchObject({ completed: 0 });
        await submission.stop();
      });

      it('may lose every job: the sweeper finds what waits', async () => {
        const front = await bench.submission({ queueUrl: queueUrl(), worker: false });
        const acts = Array.from({ length: 10 }, () => clinician.query());
        for (const act of acts) await front.acceptor.accept(act);
        await front.doorbell.queue.obliterate({ force: true });
        const worker = await bench.submission({ queueUrl: queueUrl() });
        const ends = await Promise.all(acts.map((act) => perform(front, act)));
        expect(ends.every(({ state }) => state === 'confirmed')).toBe(true);
        await front.stop();
        await worker.stop();
      });

      if (kind === 'postgres')
        it('listens on a connection whose loss ends no process', async () => {
          const asked = vi.spyOn(GuardedClient.prototype, 'query');
          const submission = await bench.submission({ queueUrl: queueUrl() });
          // Which is the one it gives the worker's name.
          const listens = () => asked.mock.calls.some(([sql]) => String(sql).includes("set_config('application_name'"));
          await expect.poll(listens, { timeout: 10_000 }).toBe(true);
          asked.mockRestore();
          await submission.stop();
        });

      if (kind === 'redis')
        it('may be away: acts are accepted and sent all the same', async () => {
          const front = await bench.submission({ queueUrl: queueUrl(), worker: false });
          const worker = await bench.submission({ queueUrl: queueUrl() });
          await redis!.stop();
          const ends = await Promise.all(Array.from({ length: 10 }, () => perform(front, clinician.query())));
          expect(ends.every(({ state }) => state === 'confirmed')).toBe(true);
          await front.stop();
          await worker.stop();
        });
    },
  );
});
