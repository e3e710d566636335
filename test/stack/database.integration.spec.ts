import pg from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { freshDatabase, type TestDatabase } from './database.js';

let database: TestDatabase;
beforeAll(async () => {
  database = await freshDatabase();
});
afterAll(() => database?.drop());

async function schemas(url: string): Promise<string[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    const { rows } = await client.query<{ name: string }>(
      `SELECT nspname AS name FROM pg_namespace WHERE has_schema_privilege(oid, 'USAGE')
        AND nspname IN ('gateway', 'mirror', 'bullmq') ORDER BY 1`,
    );
    return rows.map(({ name }) => name);
  } finally {
    await client.end();
  }
}

it('gives a test file a migrated database with the roles of production', async () => {
  expect(await schemas(database.gatewayUrl)).toEqual(['bullmq', 'gateway', 'mirror']);
  expect(await schemas(database.mirrorUrl)).toEqual(['gateway', 'mirror']);
});
