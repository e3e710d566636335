import { setTimeout as sleep } from 'node:timers/promises';
import type { PoolClient } from 'pg';
import type { DataSource, QueryRunner } from 'typeorm';

const RETRY_MS = 200;
const SIGN_OF_LIFE_MS = 500;
/** A leader silent for so long is dead, frozen or cut off: six signs missed are no pause of a garbage collector. */
const SILENCE_MS = 3_000;

/**
 * The right to write one network's mirror, held by a lock of the connection that writes: lost with it, at once and by itself. But a process that
 * is frozen, or cut off from the database, keeps its connection and with it the lock. So a leader gives a sign of life twice a second, and whoever
 * stands by ends the connection of one that doesn't. That fences it: what it still means to write has no connection, and under the next leader's
 * epoch it would fail anyhow.
 */
export class Lead {
  private readonly loss = new AbortController();
  private readonly signs: NodeJS.Timeout;
  private signing = false;

  private constructor(
    readonly network: string,
    private readonly dataSource: DataSource,
    private readonly runner: QueryRunner,
    readonly client: PoolClient,
  ) {
    client.on('error', this.onLoss);
    client.on('end', this.onLoss);
    this.signs = setInterval(() => void this.sign(), SIGN_OF_LIFE_MS);
  }

  /** Aborted when the connection, and with it the lock, is gone. */
  get lost(): AbortSignal {
    return this.loss.signal;
  }

  /**
   * Waits until no other process leads this network.
   * @param onWait called once if another one does
   * @throws the signal's reason when stopped; an Error when the database is out of reach
   */
  static async acquire(
    dataSource: DataSource,
    network: string,
    signal: AbortSignal,
    onWait: () => void,
  ): Promise<Lead> {
    const runner = dataSource.createQueryRunner();
    try {
      const client = (await runner.connect()) as PoolClient;
      for (let tries = 0; ; tries++) {
        signal.throwIfAborted();
        const { rows } = await client.query<{ won: boolean }>(TAKE, [network]);
        if (rows[0]?.won) return new Lead(network, dataSource, runner, client);
        if (tries === 0) onWait();
        await client.query(END_SILENT_LEADER, [network, SILENCE_MS]);
        await sleep(RETRY_MS, undefined, { signal });
      }
    } catch (error) {
      await runner.release().catch(() => undefined);
      throw error;
    }
  }

  async release(): Promise<void> {
    clearInterval(this.signs);
    this.client.off('error', this.onLoss);
    this.client.off('end', this.onLoss);
    if (!this.lost.aborted) {
      // The connection goes back to the pool, so the lock must not stay with it.
      await this.client.query('SELECT pg_advisory_unlock_all()').catch(() => undefined);
    }
    await this.runner.release().catch(() => undefined);
  }

  /** On another connection: the one that leads may be busy with a long commit. */
  private async sign(): Promise<void> {
    if (this.signing) return;
    this.signing = true;
    try {
      await this.dataSource.query('UPDATE mirror.lead SET seen_at = clock_timestamp() WHERE network = $1', [
        this.network,
      ]);
    } catch {
      // Nobody hears of us: whoever stands by takes over, and the connection that leads is ended.
    } finally {
      this.signing = false;
    }
  }

  private readonly onLoss = () => {
    clearInterval(this.signs);
    this.loss.abort(new Error('The connection that leads was lost.'));
  };
}

// Named with its schema: a rebuild leads too, and its search path is the mirror it makes. The lock and the first sign of life in one statement, so that there is no leader of whom nothing is known.
const TAKE = `WITH tried AS MATERIALIZED (SELECT pg_try_advisory_lock(hashtext('emr-indexer'), hashtext($1)) AS won),
  signed AS (
    INSERT INTO mirror.lead AS lead (network, pid, seen_at) SELECT $1, pg_backend_pid(), clock_timestamp() FROM tried WHERE won
    ON CONFLICT (network) DO UPDATE SET pid = EXCLUDED.pid, seen_at = EXCLUDED.seen_at)
  SELECT won FROM tried`;

// Who holds the lock is asked of Postgres, and how long it has been silent is measured by Postgres's clock: those of machines differ.
const END_SILENT_LEADER = `SELECT pg_terminate_backend(l.pid) FROM mirror.lead JOIN pg_locks l USING (pid)
  WHERE lead.network = $1 AND clock_timestamp() - lead.seen_at > make_interval(secs => $2::float8 / 1000)
    AND l.locktype = 'advisory' AND l.granted AND l.objsubid = 2
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND l.classid::bigint = (hashtext('emr-indexer')::bigint & 4294967295)
    AND l.objid::bigint = (hashtext($1)::bigint & 4294967295)`;
