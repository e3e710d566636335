import type { DataSource, QueryRunner } from 'typeorm';

export type Query = <T = Record<string, unknown>>(sql: string, parameters?: unknown[]) => Promise<T[]>;

/**
 * Runs `work` in one transaction of its own connection. A process that stalls in the middle (paused, swapped out) loses the
 * transaction after ten seconds, so that its locks stop nobody for longer; waiting for another's lock ends after five.
 * @throws whatever `work` throws, after a rollback; or the commit's own error, in which case it is unknown whether it happened
 */
export async function inTransaction<T>(dataSource: DataSource, work: (query: Query) => Promise<T>): Promise<T> {
  const runner = dataSource.createQueryRunner();
  const query = queryOf(runner);
  try {
    await query("BEGIN; SET LOCAL idle_in_transaction_session_timeout = '10s'; SET LOCAL lock_timeout = '5s'");
    const result = await work(query);
    await query('COMMIT');
    return result;
  } catch (error) {
    await query('ROLLBACK').catch(() => undefined);
    throw error;
  } finally {
    await runner.release();
  }
}

function queryOf(runner: QueryRunner): Query {
  return async <T>(sql: string, parameters?: unknown[]) => {
    const result: { records?: T[] } = await runner.query(sql, parameters, true);
    return result.records ?? [];
  };
}

/** Rows of one statement outside any transaction; for UPDATE and DELETE those of RETURNING. */
export async function rowsOf<T>(dataSource: DataSource, sql: string, parameters?: unknown[]): Promise<T[]> {
  const runner = dataSource.createQueryRunner();
  try {
    return await queryOf(runner)<T>(sql, parameters);
  } finally {
    await runner.release();
  }
}
