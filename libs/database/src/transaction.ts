import type pg from 'pg';
import type { DataSource } from 'typeorm';

/** SQL that each connection parses once; planning and parsing are half of what a small statement costs. */
export interface Statement {
  /** Unique among the process's statements. */
  name: string;
  text: string;
}

export type Query = <T = Record<string, unknown>>(sql: string | Statement, parameters?: unknown[]) => Promise<T[]>;

/**
 * Runs `work` in one transaction of its own connection. A process that stalls in the middle (paused, swapped out) loses the
 * transaction after a while, so that its locks stop nobody for longer.
 * @param patience how long it may stall, and how long it waits for another's lock; as Postgres writes durations
 * @throws whatever `work` throws, after a rollback; or the commit's own error, in which case it is unknown whether it happened
 */
export async function inTransaction<T>(
  dataSource: DataSource,
  work: (query: Query) => Promise<T>,
  patience: { idle: string; lock: string } = { idle: '10s', lock: '5s' },
): Promise<T> {
  const runner = dataSource.createQueryRunner();
  try {
    const query = queryOf((await runner.connect()) as pg.ClientBase);
    try {
      await query(
        `BEGIN; SET LOCAL idle_in_transaction_session_timeout = '${patience.idle}'; SET LOCAL lock_timeout = '${patience.lock}'`,
      );
      const result = await work(query);
      await query('COMMIT');
      return result;
    } catch (error) {
      await query('ROLLBACK').catch(() => undefined);
      throw error;
    }
  } finally {
    await runner.release();
  }
}

/** Queries on one connection, inside whatever transaction it is in. */
export function queryOf(client: Pick<pg.ClientBase, 'query'>): Query {
  return async <T>(sql: string | Statement, values?: unknown[]) => {
    const statement = typeof sql === 'string' ? { text: sql } : sql;
    const result = await client.query(values === undefined ? statement : { ...statement, values });
    // Several statements in one text give several results; nobody reads those.
    return (Array.isArray(result) ? [] : result.rows) as T[];
  };
}

/** Queries each in a transaction of its own, on any connection of the data source's pool; for UPDATE and DELETE the rows of RETURNING. */
export function pooled(dataSource: DataSource): Query {
  // The driver makes its pool when it is initialised, so it is looked up at each call.
  return (sql, values) => queryOf((dataSource.driver as unknown as { master: pg.Pool }).master as never)(sql, values);
}

/** Rows of one statement outside any transaction. */
export function rowsOf<T>(dataSource: DataSource, sql: string | Statement, parameters?: unknown[]): Promise<T[]> {
  return pooled(dataSource)<T>(sql, parameters);
}
