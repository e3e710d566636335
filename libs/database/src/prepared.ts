import type pg from 'pg';
import type { DataSource } from 'typeorm';

/**
 * A statement that each connection parses and plans once, for statements that run all the time: planning many joins takes longer than running
 * them. TypeORM's own `query` can't name a statement, so this goes to its pool, one statement to a transaction.
 * @param name unique among the process's statements
 */
export function prepared<Row extends pg.QueryResultRow>(
  dataSource: DataSource,
  name: string,
  text: string,
): (values: unknown[]) => Promise<Row[]> {
  return async (values) => {
    // The driver makes its pool when it is initialised, so it is looked up at each call.
    const { master } = dataSource.driver as unknown as { master: pg.Pool };
    const { rows } = await master.query<Row>({ name, text, values });
    return rows;
  };
}
