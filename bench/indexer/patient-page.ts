import { performance } from 'node:perf_hooks';
import pg from 'pg';
import type { DataSource } from 'typeorm';
import { AuditStore } from '../../apps/gateway/src/audit/audit.store.js';
import { createDataSource } from '../../libs/database/src/data-source.js';
import type { NetworksConfig } from '../../libs/platform/src/networks.js';
import type { BenchPostgres } from './database.js';

const NETWORK = 'bench';
const PAGE = 50;
const READS = 500;
const WARM_UP = 50;
/** Events a record and records a patient, on average. */
const EVENTS_PER_RECORD = 100;
const RECORDS_PER_PATIENT = 2;
const ROWS_AT_ONCE = 500_000;

/**
 * Pages of a patient's events, newest first, by the audit API's own store, from a table of `rows` events. Rows have the size and the
 * indexes of real ones, their bytes are hashes of their number; a patient's events lie all over the table, as over years.
 * @returns milliseconds of each read, of a patient drawn anew each time
 */
export async function patientPages(
  postgres: BenchPostgres,
  rows: number,
  log: (message: string) => void,
): Promise<number[]> {
  const database = await postgres.fresh('pages');
  await fill(database.ownerUrl, rows, log);
  const dataSource: DataSource = createDataSource({
    url: database.gatewayUrl,
    applicationName: 'emr-bench',
    poolSize: 1,
  });
  await dataSource.initialize();
  try {
    // The store reads nothing of them but their names.
    const store = new AuditStore(dataSource, { networks: [{ name: NETWORK }] } as NetworksConfig);
    const patients = patientsOf(rows);
    const times: number[] = [];
    for (let read = -WARM_UP; read < READS; read++) {
      const index = Buffer.alloc(8);
      index.writeBigInt64BE(BigInt(Math.floor(Math.random() * patients)));
      const began = performance.now();
      const [confirmed] = await store.confirmed();
      const through = BigInt(confirmed?.sequence ?? 0);
      const page = await store.events(
        [{ network: NETWORK, from: 1n, to: through + 1n }],
        { identifierIndex: index },
        PAGE,
      );
      if (read >= 0) times.push(performance.now() - began);
      if (page.length === 0) throw new Error('a patient of the bench has no events');
    }
    return times;
  } finally {
    await dataSource.destroy();
  }
}

function patientsOf(rows: number): number {
  return Math.max(1, Math.floor(rows / EVENTS_PER_RECORD / RECORDS_PER_PATIENT));
}

async function fill(url: string, rows: number, log: (message: string) => void): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    const patients = patientsOf(rows);
    const records = patients * RECORDS_PER_PATIENT;
    await client.query(
      `CREATE FUNCTION pg_temp.word(n bigint) RETURNS bytea LANGUAGE sql IMMUTABLE AS 'SELECT sha256(int8send(n))'`,
    );
    await client.query(
      `INSERT INTO gateway.patient (id, identifier_index, identifier_sealed, kek_id)
       SELECT gen_random_uuid(), int8send(p), '\\x00', 'bench' FROM generate_series(0, $1::bigint - 1) AS p`,
      [patients],
    );
    await client.query(
      `INSERT INTO gateway.patient_record (record_id, patient_id, subject_address)
       SELECT pg_temp.word(r), p.id, '\\x00' FROM generate_series(0, $1::bigint - 1) AS r
       JOIN gateway.patient p ON p.identifier_index = int8send(r / ${RECORDS_PER_PATIENT})`,
      [records],
    );
    for (let from = 1; from <= rows; from += ROWS_AT_ONCE) {
      const to = Math.min(rows, from + ROWS_AT_ONCE - 1);
      // 104,729 is a prime that spreads a record's events evenly over the table.
      await client.query(
        `INSERT INTO mirror.emr_event (network, sequence, block_number, block_hash, block_time, log_index, transaction_hash,
           transaction_index, type, record_id, record_sequence, hospital, actor, request_id, operation, outcome, purpose, topics, data)
         SELECT '${NETWORK}', n, n / 10, pg_temp.word(n / 10), 1700000000 + n, (n % 10) * 2, pg_temp.word(-n), n % 10, 'RecordQueried',
           pg_temp.word(n * 104729 % $3), n / $3 + 1, 1, substring(pg_temp.word(n % 500) FOR 20), pg_temp.word(n), 3, 0, 1,
           pg_temp.word(n) || pg_temp.word(n + 1) || pg_temp.word(n + 2) || pg_temp.word(n + 3),
           decode(repeat(encode(pg_temp.word(n), 'hex'), 9), 'hex')
         FROM generate_series($1::bigint, $2::bigint) AS n`,
        [from, to, records],
      );
      log(`${to} of ${rows} rows`);
    }
    await client.query(
      `INSERT INTO mirror.block (network, number, hash, parent_hash, time, receipts_root, header, log_count, verified, sequence, head)
       VALUES ('${NETWORK}', $1::bigint / 10, '\\x00', '\\x00', 1700000000 + $1::bigint, '\\x00', '\\x00', 10, true, $1, '\\x00')`,
      [rows],
    );
    await client.query(
      `INSERT INTO mirror.cursor (network, number, hash, final_number, sequence, head, epoch)
       VALUES ('${NETWORK}', $1::bigint / 10, '\\x00', $1::bigint / 10, $1, '\\x00', 0)`,
      [rows],
    );
    await client.query('VACUUM ANALYZE');
    await client.query('CHECKPOINT').catch(() => undefined); // only the server's owner may
  } finally {
    await client.end();
  }
}
