import { performance } from 'node:perf_hooks';
import pg from 'pg';
import { percentile } from '../report.js';

/** Indexes that are there for the audit API alone (migration 1009). */
const FOR_AUDIT = ['ix_emr_event_type', 'ix_emr_event_purpose', 'ix_emr_event_denied', 'ix_emr_event_denied_actor'];
const BLOCKS = 1_000;
const TURNS = 3;
const EVENTS_PER_BLOCK = 10;

/** What a block's ten events cost to insert, its commit left out, with the indexes of the audit API and without them. Rolled back. */
export async function insertCost(ownerUrl: string): Promise<Record<string, number>> {
  const client = new pg.Client({ connectionString: ownerUrl });
  await client.connect();
  try {
    // In turns, and not counting the first: it warms the caches for those that follow.
    await insertTimes(client, []);
    const without: number[] = [];
    const all: number[] = [];
    for (let turn = 0; turn < TURNS; turn++) {
      without.push(...(await insertTimes(client, FOR_AUDIT)));
      all.push(...(await insertTimes(client, [])));
    }
    return {
      insertOf10P50Ms: percentile(all, 50),
      insertOf10WithoutAuditIndexesP50Ms: percentile(without, 50),
      insertOf10MeanMs: mean(all),
      insertOf10WithoutAuditIndexesMeanMs: mean(without),
    };
  } finally {
    await client.end();
  }
}

async function insertTimes(client: pg.Client, dropped: readonly string[]): Promise<number[]> {
  const times: number[] = [];
  await client.query('BEGIN');
  for (const index of dropped) await client.query(`DROP INDEX mirror.${index}`);
  for (let block = 0; block < BLOCKS; block++) {
    const began = performance.now();
    // Rows of the first blocks again, as if they came now: records and actors anywhere, sequences behind the last.
    await client.query({
      name: 'insert',
      text: `INSERT INTO mirror.emr_event SELECT network, 1000000000 + sequence, 1000000000 + block_number, sha256(block_hash), block_time, log_index, transaction_hash,
          transaction_index, type, record_id, record_sequence, hospital, actor, sha256(request_id), operation, outcome, purpose, topics, data
        FROM mirror.emr_event WHERE network = 'local' AND sequence > $1 AND sequence <= $1 + ${EVENTS_PER_BLOCK}`,
      values: [block * EVENTS_PER_BLOCK],
    });
    times.push(performance.now() - began);
  }
  await client.query('ROLLBACK');
  return times.slice(BLOCKS / 10);
}

function mean(values: readonly number[]): number {
  return Math.round((values.reduce((sum, value) => sum + value, 0) / values.length) * 1000) / 1000;
}
