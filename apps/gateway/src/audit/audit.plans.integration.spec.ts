import type { DataSource } from 'typeorm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fillMirror } from '../../../../bench/audit/mirror.js';
import { explain, type Plan, recording, type Sent } from '../../../../bench/audit/plans.js';
import { type AuditQuery, auditQueries, rowsAllowed } from '../../../../bench/audit/queries.js';
import { createDataSource } from '../../../../libs/database/src/data-source.js';
import { freshDatabase, type TestDatabase } from '../../../../test/stack/database.js';

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

async function plansOf(query: AuditQuery): Promise<Plan[]> {
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
