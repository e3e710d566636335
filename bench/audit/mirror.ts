import pg from 'pg';

/** Two networks of one hospital; four fifths of the events are on the first. */
export const NETWORKS = ['local', 'global'] as const;

const ACTORS = 500;
const EVENTS_PER_RECORD = 100;
const RECORDS_PER_PATIENT = 2;
const ROWS_AT_ONCE = 500_000;
const FIRST_SECOND = 1_700_000_000;
/** Two years. */
const SECONDS = 63_072_000;

const bytesOf = (kind: string, index: number, length: number) => Buffer.from(`${kind}-${index}`.padEnd(length, '.'));

/** What can be asked for in a mirror of `rows` events, and how common it is. */
export const values = {
  /** A hundredth of all events are about it. */
  busyRecord: bytesOf('record', 0, 32),
  record: (index: number) => bytesOf('record', index, 32),
  records: (rows: number) => Math.max(4, Math.floor(rows / EVENTS_PER_RECORD)),
  patients: (rows: number) => Math.max(2, Math.floor(rows / EVENTS_PER_RECORD / RECORDS_PER_PATIENT)),
  /** Blind index of a patient's identifier. Patient 0 has the busy record. */
  patient: (index: number) => bytesOf('patient', index, 32),
  /** Blind index of the log-in of a patient. */
  account: (index: number) => bytesOf('account', index, 32),
  /** Three tenths of all events are this device's; it never amends, and was refused only at the beginning. */
  device: bytesOf('actor', 0, 20),
  /** A tenth of all events are this clinician's, all of them in the oldest third. */
  retired: bytesOf('actor', 1, 20),
  actor: (index: number) => bytesOf('actor', 2 + (index % (ACTORS - 2)), 20),
};

/**
 * Fills an empty, migrated mirror with events that have the sizes and indexes of real ones and are as unevenly spread: most are looks for
 * treatment, two in a hundred are refused, a few kinds are rare or long past. Bytes are hashes of their number.
 * @param ownerUrl of the database's owner
 */
export async function fillMirror(ownerUrl: string, rows: number, log: (message: string) => void): Promise<void> {
  const client = new pg.Client({ connectionString: ownerUrl });
  await client.connect();
  try {
    await helpers(client);
    await patients(client, rows);
    // Building an index at once is many times faster than filling it row by row.
    const indexes = await client.query<{ name: string; definition: string }>(
      `SELECT indexrelid::regclass::text AS name, pg_get_indexdef(indexrelid) AS definition FROM pg_index i
       WHERE indrelid = 'mirror.emr_event'::regclass AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid)`,
    );
    for (const { name } of indexes.rows) await client.query(`DROP INDEX ${name}`);
    for (const [index, network] of NETWORKS.entries()) {
      const share = index === 0 ? Math.floor(rows * 0.8) : rows - Math.floor(rows * 0.8);
      for (let from = 1; from <= share; from += ROWS_AT_ONCE) {
        const to = Math.min(share, from + ROWS_AT_ONCE - 1);
        await events(client, { network, from, to, share, rows });
        log(`${network}: ${to} of ${share} events`);
      }
      await blocks(client, network, share);
    }
    log('building the indexes');
    for (const { definition } of indexes.rows) await client.query(definition);
    await client.query(
      'VACUUM (ANALYZE) mirror.emr_event, mirror.block, mirror.cursor, mirror.actor, mirror.checkpoint',
    );
    await client.query('ANALYZE gateway.patient, gateway.patient_record, gateway.patient_account');
  } finally {
    await client.end();
  }
}

async function helpers(client: pg.Client): Promise<void> {
  const immutable = 'LANGUAGE sql IMMUTABLE';
  await client.query(`
CREATE FUNCTION pg_temp.word(n bigint) RETURNS bytea ${immutable} AS 'SELECT sha256(int8send(n))';
CREATE FUNCTION pg_temp.dice(n bigint, seed bigint, sides integer) RETURNS integer ${immutable}
  AS 'SELECT ((hashint8extended(n, seed) & 2147483647) % sides)::integer';
CREATE FUNCTION pg_temp.named(kind text, n integer, length integer) RETURNS bytea ${immutable}
  AS 'SELECT convert_to(rpad(kind || ''-'' || n, length, ''.''), ''UTF8'')'`);
}

async function patients(client: pg.Client, rows: number): Promise<void> {
  await client.query(
    `WITH made AS (
       INSERT INTO gateway.patient (id, identifier_index, identifier_sealed, kek_id)
       SELECT gen_random_uuid(), pg_temp.named('patient', p, 32), '\\x00', 'bench' FROM generate_series(0, $1::int - 1) AS p
       RETURNING id, identifier_index
     ), numbered AS (SELECT id, split_part(convert_from(identifier_index, 'UTF8'), '-', 2) AS n FROM made
     ), accounts AS (
       INSERT INTO gateway.patient_account (account_index, patient_id)
       SELECT pg_temp.named('account', rtrim(n, '.')::int, 32), id FROM numbered RETURNING 1
     )
     INSERT INTO gateway.patient_record (record_id, patient_id, subject_address)
     SELECT pg_temp.named('record', r, 32), n.id, '\\x00' FROM generate_series(0, $2::int - 1) AS r
     JOIN numbered n ON rtrim(n.n, '.')::int = r / ${RECORDS_PER_PATIENT}`,
    [values.patients(rows), values.records(rows)],
  );
}

async function events(
  client: pg.Client,
  { network, from, to, share, rows }: { network: string; from: number; to: number; share: number; rows: number },
): Promise<void> {
  await client.query(
    `INSERT INTO mirror.emr_event (network, sequence, block_number, block_hash, block_time, log_index, transaction_hash,
       transaction_index, type, record_id, record_sequence, hospital, actor, request_id, operation, outcome, purpose, topics, data)
     SELECT $1, n, n / 10 + 1, pg_temp.word(n / 10), ${FIRST_SECOND} + n * ${SECONDS} / $4::bigint, (n % 10) * 2, pg_temp.word(-n), n % 10,
       type, pg_temp.named('record', CASE WHEN pg_temp.dice(n, 2, 100) = 0 THEN 0 ELSE pg_temp.dice(n, 3, $5::int) END, 32),
       n / $5::int + 1, 1, pg_temp.named('actor', actor, 20), pg_temp.word(n), CASE type WHEN 'RecordAmended' THEN 4 ELSE 5 END,
       CASE type WHEN 'AccessDenied' THEN 12 ELSE 0 END,
       CASE WHEN type <> 'RecordQueried' THEN NULL WHEN pg_temp.dice(n, 5, 200) = 0 THEN 2 WHEN pg_temp.dice(n, 5, 5000) = 1 THEN 5 ELSE 1 END,
       pg_temp.word(n) || pg_temp.word(n + 1) || pg_temp.word(n + 2) || pg_temp.word(n + 3), decode(repeat(encode(pg_temp.word(n), 'hex'), 9), 'hex')
     FROM (
       SELECT n, actor, CASE
         WHEN n <= 3 THEN 'HospitalRegistered'
         WHEN pg_temp.dice(n, 4, 50) = 0 AND (actor <> 0 OR n < $4::bigint / 50) THEN 'AccessDenied'
         WHEN pg_temp.dice(n, 4, 25) = 1 AND actor <> 0 THEN 'RecordAmended'
         WHEN pg_temp.dice(n, 4, 2000) = 7 THEN 'TransferProposed'
         ELSE 'RecordQueried' END AS type
       FROM (
         SELECT n, CASE WHEN pg_temp.dice(n, 1, 10) < 3 THEN 0 WHEN n < $4::bigint / 3 AND pg_temp.dice(n, 1, 10) < 6 THEN 1
           ELSE 2 + pg_temp.dice(n, 6, ${ACTORS - 2}) END AS actor
         FROM generate_series($2::bigint, $3::bigint) AS n) AS a) AS t`,
    [network, from, to, share, values.records(rows)],
  );
}

/** Blocks, actors, cursor and checkpoints that go with the events. */
async function blocks(client: pg.Client, network: string, share: number): Promise<void> {
  await client.query(
    `INSERT INTO mirror.block (network, number, hash, parent_hash, time, receipts_root, header, log_count, verified, sequence, head)
     SELECT $1, b, pg_temp.word(b - 1), pg_temp.word(b - 2), ${FIRST_SECOND} + b * 10 * ${SECONDS} / $2::bigint, pg_temp.word(b), pg_temp.word(b),
       10, true, least(b * 10 - 1, $2), pg_temp.word(b) FROM generate_series(0, $2::bigint / 10 + 1) AS b`,
    [network, share],
  );
  await client.query(
    `INSERT INTO mirror.cursor (network, number, hash, final_number, sequence, head, epoch)
     SELECT network, number, hash, number, $2, head, 0 FROM mirror.block WHERE network = $1 ORDER BY number DESC LIMIT 1`,
    [network, share],
  );
  await client.query(
    `INSERT INTO mirror.actor (network, address, hospital, roles, custody, active)
     SELECT $1, pg_temp.named('actor', a, 20), 1, CASE a WHEN 0 THEN 16 ELSE 1 END, 0, true FROM generate_series(0, ${ACTORS - 1}) AS a`,
    [network],
  );
  await client.query(
    `INSERT INTO mirror.checkpoint (network, block_number, block_hash, sequence, head)
     SELECT network, number, hash, sequence, head FROM mirror.block WHERE network = $1 AND number % 100 = 0`,
    [network],
  );
}
