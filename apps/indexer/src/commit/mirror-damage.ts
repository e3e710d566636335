import type { DataSource } from 'typeorm';
import { rowsOf } from '../../../../libs/database/src/transaction.js';

/**
 * Looks for what no commit could have left behind: a cursor without its block, a ledger whose head or last event is another one than the
 * cursor's. Costs a few index look-ups; that all rows are there and right, a rebuild tells.
 * @returns a sentence for each network with such a contradiction
 */
export async function mirrorDamage(dataSource: DataSource): Promise<string[]> {
  const rows = await rowsOf<{ network: string; number: string }>(
    dataSource,
    `SELECT c.network, c.number FROM mirror.cursor c
     LEFT JOIN mirror.block b ON b.network = c.network AND b.number = c.number
     WHERE (b.hash, b.sequence, b.head) IS DISTINCT FROM (c.hash, c.sequence, c.head)
       OR c.sequence <> coalesce((SELECT e.sequence FROM mirror.emr_event e WHERE e.network = c.network ORDER BY e.sequence DESC LIMIT 1), 0)
     ORDER BY c.network`,
  );
  return rows.map(
    ({ network, number }) =>
      `The mirror of ${network} contradicts itself at block ${number}: rows were changed by something other than the indexer. ` +
      'See docs/runbook/mirror-damaged.md.',
  );
}
