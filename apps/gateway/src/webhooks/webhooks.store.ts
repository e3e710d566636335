import { Inject, Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { inTransaction } from '../../../../libs/database/src/transaction.js';
import type { NetworksConfig } from '../../../../libs/platform/src/networks.js';
import { NETWORKS } from '../core.tokens.js';

export interface WebhookRow {
  id: string;
  url: string;
  types: string[] | null;
  created_at: Date;
  next_at: Date;
  failing_since: Date | null;
  last_failure: string | null;
  delivered: Record<string, string>;
  behind: string;
}

export interface DueWebhook {
  id: string;
  url: string;
  types: string[] | null;
}

export interface WebhookFigures {
  behind: number;
  failing_seconds: number;
}

/** Sequence of the network's last final event; 0 when there is none. Walks down from the tip: few blocks aren't final. */
const FINAL = `coalesce((SELECT e.sequence FROM mirror.emr_event e WHERE e.network = u.network AND (e.block_number <= u.final_number) IS TRUE
  ORDER BY e.sequence DESC LIMIT 1), 0)`;

@Injectable()
export class WebhooksStore {
  readonly #networks: string[];

  constructor(
    private readonly database: DataSource,
    @Inject(NETWORKS) networks: NetworksConfig,
  ) {
    this.#networks = networks.networks.map(({ name }) => name);
  }

  async add(
    id: string,
    url: string,
    types: string[] | undefined,
    from: 'now' | 'beginning',
    by: Buffer,
  ): Promise<void> {
    await inTransaction(this.database, async (query) => {
      await query('INSERT INTO gateway.webhook (id, url, types, created_by) VALUES ($1, $2, $3, $4)', [
        id,
        url,
        types ?? null,
        by,
      ]);
      await query(
        `INSERT INTO gateway.webhook_cursor (webhook_id, network, sequence)
         SELECT $1, u.network, CASE WHEN $3 THEN 0 ELSE ${FINAL} END FROM mirror.cursor u WHERE u.network = ANY($2)`,
        [id, this.#networks, from === 'beginning'],
      );
    });
  }

  list(id?: string): Promise<WebhookRow[]> {
    return this.database.query(
      `SELECT w.id, w.url, w.types, w.created_at, w.next_at, w.failing_since, w.last_failure,
         coalesce(c.delivered, '{}') AS delivered, coalesce(c.behind, 0)::text AS behind
       FROM gateway.webhook w LEFT JOIN LATERAL (
         SELECT jsonb_object_agg(c.network, c.sequence::text) AS delivered, sum(greatest(0, f.final - c.sequence)) AS behind
         FROM gateway.webhook_cursor c, LATERAL (SELECT ${FINAL} AS final FROM mirror.cursor u WHERE u.network = c.network) f
         WHERE c.webhook_id = w.id
       ) c ON true
       WHERE w.removed_at IS NULL AND ($1::uuid IS NULL OR w.id = $1) ORDER BY w.created_at, w.id`,
      [id ?? null],
    );
  }

  /** @returns whether there was one */
  async remove(id: string, by: Buffer): Promise<boolean> {
    const [, count] = await this.database.query(
      'UPDATE gateway.webhook SET removed_at = now(), removed_by = $2 WHERE id = $1 AND removed_at IS NULL',
      [id, by],
    );
    return count > 0;
  }

  /** Takes what is due and nobody delivers, for `leaseSeconds`. */
  async claim(leaseSeconds: number, most: number): Promise<DueWebhook[]> {
    const [rows] = await this.database.query(
      `UPDATE gateway.webhook w SET leased_until = now() + make_interval(secs => $1) FROM (
         SELECT id FROM gateway.webhook WHERE removed_at IS NULL AND next_at <= now() AND leased_until <= now()
         ORDER BY next_at LIMIT $2 FOR UPDATE SKIP LOCKED) due
       WHERE w.id = due.id RETURNING w.id, w.url, w.types`,
      [leaseSeconds, most],
    );
    return rows;
  }

  /** Networks with events that the receiver is owed: from where, and up to where they are final. */
  owed(id: string): Promise<{ network: string; sequence: string; final: string }[]> {
    return this.database.query(
      `SELECT * FROM (
         SELECT c.network, c.sequence::text, (SELECT ${FINAL} FROM mirror.cursor u WHERE u.network = c.network)::text AS final
         FROM gateway.webhook_cursor c WHERE c.webhook_id = $1
       ) o WHERE o.final::bigint > o.sequence::bigint ORDER BY network`,
      [id],
    );
  }

  /**
   * Moves the cursor and keeps the lease.
   * @returns false when another process moved it meanwhile, or the webhook was removed
   */
  async advance(id: string, network: string, from: string, to: string, leaseSeconds: number): Promise<boolean> {
    const [rows] = await this.database.query(
      `WITH moved AS (
         UPDATE gateway.webhook_cursor SET sequence = $4 WHERE webhook_id = $1 AND network = $2 AND sequence = $3 RETURNING 1)
       UPDATE gateway.webhook SET leased_until = now() + make_interval(secs => $5), failures = 0, failing_since = NULL, last_failure = NULL
       WHERE id = $1 AND removed_at IS NULL AND EXISTS (SELECT FROM moved) RETURNING id`,
      [id, network, from, to, leaseSeconds],
    );
    return rows.length === 1;
  }

  /** Gives the lease back; `next` after `seconds`. */
  async rest(id: string, seconds: number): Promise<void> {
    await this.database.query(
      `UPDATE gateway.webhook SET leased_until = '-infinity', next_at = now() + make_interval(secs => $2) WHERE id = $1`,
      [id, seconds],
    );
  }

  /** Gives the lease back after a failure: the next attempt comes after half a second, and twice as late each time, a minute at most. */
  async failed(id: string, code: string): Promise<void> {
    await this.database.query(
      `UPDATE gateway.webhook SET leased_until = '-infinity', failures = failures + 1, last_failure = $2,
         failing_since = coalesce(failing_since, now()), next_at = now() + make_interval(secs => least(60, 0.5 * 2 ^ least(failures, 10)))
       WHERE id = $1`,
      [id, code],
    );
  }

  async figures(): Promise<WebhookFigures> {
    const [row] = await this.database.query(
      `SELECT coalesce(max(extract(epoch FROM now() - failing_since)), 0)::float8 AS failing_seconds
       FROM gateway.webhook WHERE removed_at IS NULL`,
    );
    const behind = Math.max(0, ...(await this.list()).map((webhook) => Number(webhook.behind)));
    return { behind, failing_seconds: row.failing_seconds };
  }
}
