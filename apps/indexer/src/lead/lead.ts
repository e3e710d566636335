import { setTimeout as sleep } from 'node:timers/promises';
import type { PoolClient } from 'pg';
import type { DataSource, QueryRunner } from 'typeorm';

const RETRY_MS = 200;

/** The right to write one network's mirror, held by a lock of the connection that writes: lost with it, at once and by itself. */
export class Lead {
  private readonly loss = new AbortController();

  private constructor(
    readonly network: string,
    private readonly runner: QueryRunner,
    readonly client: PoolClient,
  ) {
    client.on('error', this.onLoss);
    client.on('end', this.onLoss);
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
        const { rows } = await client.query<{ won: boolean }>(
          `SELECT pg_try_advisory_lock(hashtext('emr-indexer'), hashtext($1)) AS won`,
          [network],
        );
        if (rows[0]?.won) return new Lead(network, runner, client);
        if (tries === 0) onWait();
        await sleep(RETRY_MS, undefined, { signal });
      }
    } catch (error) {
      await runner.release().catch(() => undefined);
      throw error;
    }
  }

  async release(): Promise<void> {
    this.client.off('error', this.onLoss);
    this.client.off('end', this.onLoss);
    if (!this.lost.aborted) {
      // The connection goes back to the pool, so the lock must not stay with it.
      await this.client.query('SELECT pg_advisory_unlock_all()').catch(() => undefined);
    }
    await this.runner.release().catch(() => undefined);
  }

  private readonly onLoss = () => this.loss.abort(new Error('The connection that leads was lost.'));
}
