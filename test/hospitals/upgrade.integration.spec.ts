import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createDataSource } from '../../libs/database/src/data-source.js';
import { migrate } from '../../libs/database/src/migrate.js';
import { GatewayBaseline1000 } from '../../libs/database/src/migrations/1000-gateway-baseline.js';
import { MirrorBaseline1001 } from '../../libs/database/src/migrations/1001-mirror-baseline.js';
import { type Hospitals, startHospitals } from './hospitals.js';

/** Rows of tables that a day's work may leave empty, as they would have been written at the time. */
const RARE: Record<string, string> = {
  'gateway.access_log': `(1, now(), '\\x24', NULL, 'search', NULL, NULL, '{"found": 1}')`,
  'gateway.app_user': `('clinician.y', '$argon2id$x', '{clinician}', false, now())`,
  'gateway.used_jti': `('\\x01', now() + interval '1 hour')`,
  'gateway.content': `('ct_1', '\\x02', '\\x03', 'application/fhir+json', 3, '\\x04', '\\x05', now(), now() + interval '1 hour')`,
  'gateway.patient_account': `('\\x06', (SELECT id FROM gateway.patient LIMIT 1), now())`,
  'gateway.peer': `('shared', 'enode://1', now())`,
  'gateway.transfer': `(decode(repeat('07', 32), 'hex'), 'outgoing', '\\x08', 2, 1, '\\x09', 0, NULL, NULL, NULL, 'CARE', 'done', 'rejected', NULL,
     NULL, NULL, NULL, NULL, 3600, 1, now(), NULL, now(), now())`,
  'mirror.orphaned_event': `(7, 'shared', 99, 99, '\\x0a', 1, 0, '\\x0b', 0, 'RecordQueried', '\\x0c', 1, 1, '\\x0d', '\\x0e', 5, 0, 1, '\\x0f', '\\x10')`,
  'mirror.reorganisation': `(7, 'shared', now(), 98, '\\x0a', '\\x11', 1, false)`,
  'mirror.checkpoint': `('shared', 1, '\\x12', 1, '\\x13', NULL)`,
  'mirror.notice': `('shared', 99, '\\x14', 0, '\\x15', 'bad-signature', 0, NULL, NULL)`,
  'mirror.relation': `('shared', '\\x16', '\\x17', 0, '\\x18', 1, NULL)`,
  'mirror.access_grant': `('shared', '\\x19', '\\x1a', '\\x1b', 1, 32, 1, 0, 0, '\\x1c', '\\x1d', 1, NULL)`,
  'mirror.transfer': `('shared', '\\x1e', '\\x1f', 1, 2, 1, '\\x20', 0, 1, 'rejected', NULL, 1, '\\x21')`,
  'mirror.team_member': `('shared', 1, '\\x22', '\\x23')`,
};

let hospitals: Hospitals;
let server: pg.Client;
let migrated: string[];
const lost: string[] = [];
const empty: string[] = [];
let recordId: string;
let operationId: string;

beforeAll(async () => {
  hospitals = await startHospitals({ single: true });
  const { a } = hospitals;
  await a.register('clinician.x', ['clinician']);
  recordId = await a.open('clinician.x', '000123', { resourceType: 'Bundle', entry: [] });
  const look = await a.call('clinician.x', ['clinician'], 'POST', `/v1/emrs/${recordId}/queries`, { purpose: 'TREAT' });
  expect(look.status).toBe(201);
  operationId = look.body.id;
  await a.stopGateway();

  const superuser = new URL(a.database.superuserUrl);
  superuser.pathname = '/postgres';
  server = new pg.Client({ connectionString: superuser.href });
  await server.connect();
  const old = `${a.database.name}_old`;
  await makeDatabaseOfTheTime(old);
  await copyRows(a.database.superuserUrl, at(a.database.superuserUrl, old));
  const before = await rowsOf(at(a.database.superuserUrl, old));
  empty.push(...[...before].filter(([, rows]) => rows.length === 0).map(([table]) => table));

  // The programs find it under the name they know; the indexer, which runs, is kept out until it is migrated.
  const { name } = a.database;
  await server.query(`ALTER DATABASE ${name} CONNECTION LIMIT 0`);
  await server.query('SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = $1', [name]);
  await server.query(`ALTER DATABASE ${name} RENAME TO ${name}_later`);
  await server.query(`ALTER DATABASE ${old} RENAME TO ${name}`);
  migrated = await migrate(a.database.ownerUrl);
  lost.push(...(await missing(a.database.superuserUrl, before)));
  await server.query(`GRANT CONNECT ON DATABASE ${name} TO ${name}_gateway, ${name}_mirror`);
  await a.startGateway();
}, 120_000);
afterAll(async () => {
  await server?.query(`DROP DATABASE IF EXISTS ${hospitals.a.database.name}_later WITH (FORCE)`);
  await server?.end();
  await hospitals?.close();
});

const at = (url: string, database: string): string => {
  const moved = new URL(url);
  moved.pathname = `/${database}`;
  return moved.href;
};

/** The schema as the first two migrations made it, with roles and rights. */
async function makeDatabaseOfTheTime(name: string): Promise<void> {
  const { database } = hospitals.a;
  await server.query(`CREATE DATABASE ${name} OWNER ${database.name}_owner TEMPLATE template0`);
  await server.query(`REVOKE ALL ON DATABASE ${name} FROM PUBLIC`);
  const owner = createDataSource({
    url: at(database.ownerUrl, name),
    applicationName: 'emr-upgrade-test',
    poolSize: 1,
  });
  owner.setOptions({ migrations: [GatewayBaseline1000, MirrorBaseline1001] });
  await owner.initialize();
  await owner.runMigrations({ transaction: 'each' });
  await owner.destroy();
  await withClient(at(database.superuserUrl, name), (client) =>
    client.query(`CREATE SCHEMA bullmq AUTHORIZATION ${database.name}_gateway`),
  );
}

/** All rows, with the columns there were at the time. */
async function copyRows(fromUrl: string, toUrl: string): Promise<void> {
  await withClient(toUrl, async (to) => {
    await to.query('SET session_replication_role = replica'); // in any order, foreign keys or not
    await withClient(fromUrl, async (from) => {
      for (const { table, columns } of await tablesOf(to)) {
        const { rows } = await from.query(`SELECT coalesce(jsonb_agg(to_jsonb(t)), '[]') AS all FROM ${table} t`);
        const insert = `INSERT INTO ${table} (${columns}) OVERRIDING SYSTEM VALUE`;
        await to.query(`${insert} SELECT ${columns} FROM jsonb_populate_recordset(NULL::${table}, $1)`, [
          JSON.stringify(rows[0].all),
        ]);
        if (rows[0].all.length === 0 && RARE[table]) await to.query(`${insert} VALUES ${RARE[table]}`);
      }
      // Numbers go on where they were.
      await to.query(`DO $$ DECLARE c record; BEGIN
        FOR c IN SELECT table_schema || '.' || table_name AS t, column_name AS n FROM information_schema.columns WHERE is_identity = 'YES'
        LOOP EXECUTE format('SELECT setval(pg_get_serial_sequence(%L, %L), coalesce(max(%I), 0) + 1, false) FROM %s', c.t, c.n, c.n, c.t);
        END LOOP; END $$`);
    });
  });
}

async function tablesOf(client: pg.Client): Promise<{ table: string; columns: string }[]> {
  const { rows } = await client.query(
    `SELECT table_schema || '.' || table_name AS table, string_agg(quote_ident(column_name), ', ' ORDER BY ordinal_position) AS columns
     FROM information_schema.columns WHERE table_schema IN ('gateway', 'mirror') GROUP BY 1 ORDER BY 1`,
  );
  return rows;
}

async function rowsOf(url: string): Promise<Map<string, unknown[]>> {
  return withClient(url, async (client) => {
    const found = new Map<string, unknown[]>();
    for (const { table } of await tablesOf(client)) {
      const { rows } = await client.query(`SELECT coalesce(jsonb_agg(to_jsonb(t)), '[]') AS all FROM ${table} t`);
      found.set(table, rows[0].all);
    }
    return found;
  });
}

/** What isn't there any more, value for value; a column that came later may stand beside. */
async function missing(url: string, before: Map<string, unknown[]>): Promise<string[]> {
  return withClient(url, async (client) => {
    const findings: string[] = [];
    for (const [table, rows] of before) {
      const { rows: found } = await client.query(
        `SELECT (SELECT count(*)::int FROM ${table}) AS now, (SELECT count(*)::int FROM jsonb_array_elements($1::jsonb) AS old
           WHERE NOT EXISTS (SELECT FROM ${table} t WHERE to_jsonb(t) @> old)) AS gone`,
        [JSON.stringify(rows)],
      );
      const { now, gone } = found[0];
      if (gone > 0 || now !== rows.length) findings.push(`${table}: ${gone} of ${rows.length} rows gone, ${now} there`);
    }
    return findings;
  });
}

async function withClient<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

describe('a database of the first version', () => {
  it('has rows in every table, and loses none of them to the later migrations', () => {
    expect(empty).toEqual([]);
    expect(migrated.length).toBeGreaterThan(4);
    expect(lost).toEqual([]);
  });

  it('is what the present programs go on with: what was done is found, and more is done', async () => {
    const { a } = hospitals;
    const found = await a.call('clinician.x', ['clinician'], 'GET', `/v1/operations/${operationId}`);
    expect(found.body).toMatchObject({ id: operationId, state: 'confirmed', recordId });
    const content = await a.call(
      'clinician.x',
      ['clinician'],
      'POST',
      `/v1/emrs/${recordId}/queries`,
      { purpose: 'TREAT' },
      { 'idempotency-key': randomUUID(), prefer: 'wait=20, return=representation' },
    );
    expect(content.status).toBe(201);
    expect(content.body).toEqual({ resourceType: 'Bundle', entry: [] });
    const second = await a.open('clinician.x', '000124', { resourceType: 'Bundle', id: 'second' });
    const audit = await a.call('auditor.x', ['auditor'], 'GET', '/v1/audit/events?limit=50');
    expect(audit.status).toBe(200);
    const records = audit.body.items.map((event: { recordId: string }) => event.recordId);
    expect(records).toEqual(expect.arrayContaining([recordId, second]));
    const integrity = await a.call('auditor.x', ['auditor'], 'GET', '/v1/audit/integrity');
    expect(integrity.body.networks).toMatchObject([{ gaps: [], stopped: null }]);
  });
});
