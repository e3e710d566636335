import type { DataSource } from 'typeorm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fillMirror } from '../../../../bench/audit/mirror.js';
import { explain, type Plan, recording, type Sent } from '../../../../bench/audit/plans.js';
import { type AuditQuery, auditQueries, rowsAllowed } from '../../../../bench/audit/queries.js';
import { createDataSource } from '../../../../libs/database/src/data-source.js';
import type { NetworksConfig } from '../../../../libs/platform/src/networks.js';
import { freshDatabase, type TestDatabase } from '../../../../test/stack/database.js';
import type { GatewayEnv } from '../gateway.env.js';
import { SagaStore } from '../transfers/saga/saga.store.js';

/** `npm run bench -- audit --rows 10000000` reads the same plans at ten million. */
const ROWS = 200_000;

let database: TestDatabase;
let dataSource: DataSource;

beforeAll(async () => {
  database = await freshDatabase();
  await fillMirror(database.ownerUrl, ROWS, () => undefined);
  dataSource = createDataSource({ url: database.gatewayUrl, applicationName: 'emr-plans-test', poolSize: 1 });
  await dataSource.initialize();
});
afterAll(async () => {
  await dataSource?.destroy();
  await database?.drop();
});

async function plansOf(query: Pick<AuditQuery, 'name' | 'ask'>): Promise<Plan[]> {
  const sent: Sent[] = [];
  await query.ask(recording(dataSource, sent));
  const distinct = [...new Map(sent.map((statement) => [statement.sql, statement])).values()];
  expect(distinct.length, query.name).toBeGreaterThan(0);
  const plans = [];
  for (const statement of distinct) plans.push(await explain(dataSource, statement));
  return plans;
}

const LARGE = ['emr_event', 'block', 'patient', 'patient_record', 'patient_account'];

describe('a statement of the audit API, on a large mirror', () => {
  it('reads no large table from end to end, and no more rows than its page asks for', async () => {
    const findings: string[] = [];
    for (const query of auditQueries(ROWS)) {
      const bound = await rowsAllowed(dataSource, query);
      for (const { seqScans, rowsRead, nodes } of await plansOf(query)) {
        const scanned = seqScans.filter((table) => LARGE.includes(table));
        if (scanned.length > 0) findings.push(`${query.name}: reads all of ${scanned}`);
        if (rowsRead > bound) findings.push(`${query.name}: ${rowsRead} rows, ${bound} allowed: ${nodes.join(' < ')}`);
      }
    }
    expect(findings).toEqual([]);
  });
});

describe('what the gateway asks whenever a block has come, on a large mirror', () => {
  const OPEN = 20;
  /** What those records' own events may be: the busiest one alone has a hundredth of all. */
  const BOUND = ROWS / 50;
  const network = 'local';

  it('reads what the open transfers are, not what has happened', async () => {
    const open: unknown[] = await dataSource.query(
      `INSERT INTO gateway.transfer (id, direction, record_id, peer_hospital, version, content_hash, step, ttl, next_attempt_at)
       SELECT sha256(record_id), 'outgoing', record_id, 2, 1, record_id, 'proposing', 3600, now() + interval '1 hour'
       FROM (SELECT DISTINCT record_id FROM mirror.emr_event WHERE network = $1 LIMIT $2) AS records RETURNING 1`,
      [network, OPEN],
    );
    expect(open).toHaveLength(OPEN);
    const networks = { local: network, global: 'global' } as NetworksConfig;
    const saga = (recorded: DataSource) => new SagaStore(recorded, networks, { HOSPITAL_ID: 1 } as GatewayEnv);
    const findings: string[] = [];
    for (const query of [
      { name: 'cursors', ask: (recorded: DataSource) => saga(recorded).cursors() },
      { name: 'wake, all of history', ask: (recorded: DataSource) => saga(recorded).wake(network, '0', `${ROWS}`) },
      { name: 'wake, nothing', ask: (recorded: DataSource) => saga(recorded).wake(network, `${ROWS}`, `${ROWS}`) },
    ]) {
      for (const { seqScans, rowsRead, nodes } of await plansOf(query)) {
        const scanned = seqScans.filter((table) => LARGE.includes(table));
        if (scanned.length > 0) findings.push(`${query.name}: reads all of ${scanned}`);
        if (rowsRead > BOUND) findings.push(`${query.name}: ${rowsRead} rows: ${nodes.join(' < ')}`);
      }
    }
    expect(findings).toEqual([]);
  });
});
