import { setTimeout as sleep } from 'node:timers/promises';
import { createPostgresBackend, createRedisBackend, type Queue, type Worker, withBackend } from 'bullmq';
import { Redis } from 'ioredis';
import type pg from 'pg';
import { GuardedClient } from '../../../database/src/guarded-client.js';
import type { Logger } from '../../../platform/src/logger.js';

export interface DoorbellOptions {
  /** postgres://… or redis://…, rediss://… */
  queueUrl: string;
  hospitalId: number;
  /** Networks that may be rung: one job each can be in work at a time. */
  networks: readonly string[];
  logger: Logger;
}

interface RingData {
  network: string;
}

const SCHEMA = 'bullmq';
/** A finished ring tells nothing; a failed one is kept for whoever looks into the queue. */
const JOB = { removeOnComplete: true, removeOnFail: 100 };
const LOG_AGAIN_MS = 30_000;
const CLOSE_MS = 3_000;
const RETRY_MS = 1_000;

/** The pool's connections are made as `Client` says, but the one that LISTENs by whatever module BullMQ loaded: a plain one, whose loss could end the process. */
const guardedBackend: typeof createPostgresBackend = (...given) => {
  const backend = createPostgresBackend(...given);
  const { connection } = backend as unknown as { connection: { pgModule: { Client: typeof pg.Client } } };
  connection.pgModule = { Client: GuardedClient };
  return backend;
};

/**
 * Wakes workers of other processes: a job says only "something waits on this network". Losing every job loses nothing but time, as
 * the sweeper looks at the tables; so ringing never fails towards whoever rings.
 */
export class Doorbell {
  /** For Bull Board. */
  readonly queue: Queue<RingData>;
  private readonly makeWorker: (handler: (network: string) => Promise<void>) => Worker<RingData>;
  private readonly reachable: () => boolean;
  private readonly disconnect: () => void;
  private worker: Worker<RingData> | undefined;
  private working: Promise<void> | undefined;
  private readonly ringing = new Map<string, Promise<void>>();
  private readonly again = new Set<string>();
  private closed = false;
  private lastLogged = 0;

  constructor(private readonly options: DoorbellOptions) {
    // One queue per hospital: hospitals that share a Redis must not take each other's rings.
    const name = `submission-${options.hospitalId}`;
    const concurrency = options.networks.length;
    const process = (handler: (network: string) => Promise<void>) => (job: { data: RingData }) =>
      handler(job.data.network);
    if (/^rediss?:/.test(options.queueUrl)) {
      // The producer fails at once while Redis is away (the sweeper takes over); the worker waits for it to come back.
      const producer = new Redis(options.queueUrl, {
        enableOfflineQueue: false,
        maxRetriesPerRequest: 1,
        lazyConnect: false,
      });
      const consumer = new Redis(options.queueUrl, { maxRetriesPerRequest: null });
      for (const redis of [producer, consumer]) redis.on('error', (error) => this.report(error));
      const { Queue: RedisQueue, Worker: RedisWorker } = withBackend(createRedisBackend);
      this.queue = new RedisQueue(name, {
        connection: producer,
        prefix: 'emr',
        defaultJobOptions: JOB,
      }) as unknown as Queue<RingData>;
      this.makeWorker = (handler) =>
        new RedisWorker(name, process(handler), {
          connection: consumer,
          prefix: 'emr',
          concurrency,
          autorun: false,
        }) as unknown as Worker<RingData>;
      this.reachable = () => consumer.status === 'ready';
      this.disconnect = () => {
        producer.disconnect();
        consumer.disconnect();
      };
    } else {
      const connection = (max: number) => ({
        connectionString: options.queueUrl,
        schema: SCHEMA,
        migrate: true,
        max,
        Client: GuardedClient,
      });
      const { Queue: PostgresQueue, Worker: PostgresWorker } = withBackend(guardedBackend);
      this.queue = new PostgresQueue(name, {
        connection: connection(2),
        defaultJobOptions: JOB,
      }) as unknown as Queue<RingData>;
      this.makeWorker = (handler) =>
        new PostgresWorker(name, process(handler), {
          connection: connection(2),
          concurrency,
          autorun: false,
        }) as unknown as Worker<RingData>;
      this.reachable = () => true;
      this.disconnect = () => undefined;
    }
    this.queue.on('error', (error) => this.report(error));
  }

  /** Resolves when the queue can be used. @throws Error of the backend */
  async ready(): Promise<void> {
    await this.queue.waitUntilReady();
  }

  /** Calls `handler` for each ring, from any process, until closed. A handler that rejects marks the job failed. */
  answer(handler: (network: string) => Promise<void>): void {
    this.working = this.work(handler);
  }

  /**
   * A worker runs only once it is connected: BullMQ's Postgres backend remembers a first connection that failed, and its worker
   * would then retry for ever without a pause, so that nothing else in this process had a turn. Another one is made instead.
   */
  private async work(handler: (network: string) => Promise<void>): Promise<void> {
    while (!this.closed) {
      const worker = this.makeWorker(handler);
      worker.on('error', (error) => this.report(error));
      this.worker = worker;
      try {
        await worker.waitUntilReady();
        if (!this.closed) worker.run().catch((error: Error) => this.report(error));
        return;
      } catch (error) {
        this.report(error as Error);
        await worker.close(true).catch(() => undefined);
        if (!this.closed) await sleep(RETRY_MS, undefined, { ref: false });
      }
    }
  }

  /** Rings once; while a ring is on its way further ones become one more. Never rejects. */
  ring(network: string): Promise<void> {
    const current = this.ringing.get(network);
    if (current !== undefined) {
      this.again.add(network);
      return current;
    }
    const ringing = this.add(network).finally(() => {
      this.ringing.delete(network);
      if (this.again.delete(network)) void this.ring(network);
    });
    this.ringing.set(network, ringing);
    return ringing;
  }

  /** Doesn't wait for a queue that is away: what it holds is lost without loss. */
  async close(): Promise<void> {
    this.closed = true;
    this.again.clear();
    const closing = (async () => {
      // Closed while it connects, BullMQ would make one more connection, and end that never.
      if (this.reachable()) await this.working;
      await this.worker?.close(!this.reachable());
      await Promise.all(this.ringing.values());
      await this.queue.close();
    })();
    closing.catch((error: Error) => this.report(error));
    await Promise.race([closing.catch(() => undefined), sleep(CLOSE_MS, undefined, { ref: false })]);
    this.disconnect();
  }

  private async add(network: string): Promise<void> {
    try {
      await this.queue.add('ring', { network });
    } catch (error) {
      this.report(error as Error);
    }
  }

  private report(error: Error): void {
    if (Date.now() - this.lastLogged < LOG_AGAIN_MS) return;
    this.lastLogged = Date.now();
    this.options.logger.warn(
      { err: error },
      'The queue is out of reach: acts are still accepted and sent, a little later.',
    );
  }
}
