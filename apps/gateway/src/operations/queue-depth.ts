import { Inject, Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { ProblemError } from '../../../../libs/platform/src/errors.js';
import { GATEWAY_ENV, type GatewayEnv } from '../gateway.env.js';

const FRESH_MS = 500;

/** How many acts wait for a transaction. Refuses new ones, before anything is stored, when there are too many. */
@Injectable()
export class QueueDepth {
  #counted = 0;
  #addedSince = 0;
  #countedAt = Number.NEGATIVE_INFINITY;
  #counting: Promise<void> | undefined;

  constructor(
    private readonly database: DataSource,
    @Inject(GATEWAY_ENV) private readonly env: GatewayEnv,
  ) {}

  /** Makes room for `count` acts. @throws ProblemError QUEUE_FULL */
  async admit(count: number): Promise<void> {
    const stale = performance.now() - this.#countedAt > FRESH_MS;
    if (stale) this.#counting ??= this.#count();
    const counting = stale ? this.#counting : undefined;
    // Refreshed in the background. Waited for only the first time, and before turning anybody away because of an old figure.
    if (counting && (this.#countedAt === Number.NEGATIVE_INFINITY || !this.#hasRoomFor(count))) await counting;
    else counting?.catch(() => undefined);
    if (!this.#hasRoomFor(count)) throw new ProblemError('QUEUE_FULL', { retryAfter: 2 });
    this.#addedSince += count;
  }

  #hasRoomFor(count: number): boolean {
    return this.#counted + this.#addedSince + count <= this.env.QUEUE_DEPTH_LIMIT;
  }

  async #count(): Promise<void> {
    try {
      const [row]: { waiting: number }[] = await this.database.query(
        `SELECT count(*)::int AS waiting FROM (SELECT 1 FROM gateway.operation WHERE phase = 'accepted' LIMIT $1) AS accepted`,
        [this.env.QUEUE_DEPTH_LIMIT + 1],
      );
      this.#counted = row?.waiting ?? 0;
      this.#addedSince = 0;
      this.#countedAt = performance.now();
    } finally {
      this.#counting = undefined;
    }
  }
}
