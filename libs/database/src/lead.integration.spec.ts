import pg from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { freshDatabase, type TestDatabase } from '../../../test/stack/database.js';
import { Lead } from './lead.js';

let database: TestDatabase;
const leads: Lead[] = [];
beforeAll(async () => {
  database = await freshDatabase({ migrated: false });
});
afterAll(async () => {
  for (const lead of leads) await lead.release();
  await database?.drop();
});

function lead(name: string): Lead {
  const made = new Lead(database.ownerUrl, name);
  leads.push(made);
  return made;
}

it('is held by one of those who ask for it, until that one lets go', async () => {
  const [first, second, other] = [lead('one'), lead('one'), lead('another')];
  expect(await first.held()).toBe(true);
  expect(await second.held()).toBe(false);
  expect(await other.held()).toBe(true);
  await first.release();
  await expect.poll(() => second.held()).toBe(true);
  expect(await first.held()).toBe(false);
});

it('is lost with its connection, and can be taken again', async () => {
  const [first, second] = [lead('lost'), lead('lost')];
  expect(await first.held()).toBe(true);
  const operator = new pg.Client({ connectionString: database.superuserUrl });
  await operator.connect();
  await operator.query(
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'emr-gateway-lost'`,
  );
  await operator.end();
  // Asked while its end is on its way, the driver may say so; the next question is a new beginning.
  await expect.poll(() => second.held().catch(() => false)).toBe(true);
  await expect.poll(() => first.held().catch(() => true)).toBe(false);
});
