import type { DataSource } from 'typeorm';
import { rowsOf } from '../../../../libs/database/src/transaction.js';

/**
 * What an operator should know when the events of a mirror have outgrown one table.
 * @param threshold events from which on they are better kept by month
 * @returns undefined while they haven't, or are kept so already
 */
export async function partitionAdvice(
  dataSource: DataSource,
  threshold = Number.POSITIVE_INFINITY,
): Promise<string | undefined> {
  const [row] = await rowsOf<{ events: string; partitioned: boolean }>(
    dataSource,
    `SELECT coalesce(sum(sequence), 0)::text AS events,
       (SELECT relkind = 'p' FROM pg_class WHERE oid = 'mirror.emr_event'::regclass) AS partitioned FROM mirror.cursor`,
  );
  if (!row || row.partitioned || Number(row.events) < threshold) return undefined;
  return (
    `The mirror holds ${row.events} events in one table, ${threshold} are meant to be the most (MIRROR_PARTITION_EVENTS). ` +
    'To keep them by month, without downtime: npm run indexer:rebuild -- --partition-by month --switch'
  );
}
