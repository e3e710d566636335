import { Inject, Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { ProblemError } from '../../../../libs/platform/src/errors.js';
import { GATEWAY_ENV, type GatewayEnv } from '../gateway.env.js';

const FRESH_MS = 500;

interface Figure {
  counted: number;
  addedSince: number;
  /** `performance.now()` of the count. */
  countedAt: number;
  counting?: Promise<void> | undefined;
}

/**
 * How many acts wait for a transaction on each network. Refuses new ones, before anything is stored, when there are too many: a
 * global network that stands still must not keep the local one's patients waiting.
 */
@Injectable()
export class QueueDepth {
  readonly #figures = new Map<string, Figure>();

  constructor(
    private readonly database: DataSource,
    @Inject(GATEWAY_ENV) private readonly env: GatewayEnv,
  ) {}

  /** Makes room for one act on each of `networks`, or for none. @throws ProblemError QUEUE_FULL */
  async admit(networks: readonly string[]): Promise<void> {
    const wanted = new Map<string, number>();
    for (const network of networks) wanted.set(network, (wanted.get(network) ?? 0) + 1);
    for (const [network, count] of wanted) await this.#refresh(network, count);
    for (const [network, count] of wanted) {
      if (!this.#hasRoomFor(network, count)) throw new ProblemError('QUEUE_FULL', { retryAfter: 2 });
    }
    for (const [network, count] of wanted) this.#figureOf(network).addedSince += count;
  }

  async #refresh(network: string, count: number): Promise<void> {
    const figure = this.#figureOf(network);
    const stale = performance.now() - figure.countedAt > FRESH_MS;
    if (stale) figure.counting ??= this.#count(network, figure);
    const counting = stale ? figure.counting : undefined;
    // Refreshed in the background. Waited for only the first time, and before turning anybody away because of an old figure.
    if (counting && (figure.countedAt === Number.NEGATIVE_INFINITY || !this.#hasRoomFor(network, count)))
      await counting;
    else counting?.catch(() => undefined);
  }

  #hasRoomFor(network: string, count: number): boolean {
    const { counted, addedSince } = this.#figureOf(network);
    return counted + addedSince + count <= this.env.QUEUE_DEPTH_LIMIT;
  }

  #figureOf(network: string): Figure {
    let figure = this.#figures.get(network);
    if (!figure) {
      figure = { counted: 0, addedSince: 0, countedAt: Number.NEGATIVE_INFINITY };
      this.#figures.set(network, figure);
    }
    return figure;
  }

  async #count(network: string, figure: Figure): Promise<void> {
    try {
      const [row]: { waiting: number }[] = await this.database.query(
        `SELECT count(*)::int AS waiting
         FROM (SELECT 1 FROM gateway.operation WHERE network = $1 AND phase = 'accepted' LIMIT $2) AS accepted`,
        [network, this.env.QUEUE_DEPTH_LIMIT + 1],
      );
      figure.counted = row?.waiting ?? 0;
      figure.addedSince = 0;
      figure.countedAt = performance.now();
    } finally {
      figure.counting = undefined;
    }
  }
}
