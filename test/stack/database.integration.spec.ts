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
  expect(await schemas(database.nodeUrl)).toEqual(['mirror']);
});

it('lets a node read the blocks that make it whole, and nothing else', async () => {
  const client = new pg.Client({ connectionString: database.nodeUrl });
  await client.connect();
  try {
    expect((await client.query('SELECT raw FROM mirror.block')).rows).toEqual([]);
    expect((await client.query('SELECT final_number FROM mirror.cursor')).rows).toEqual([]);
    for (const sql of ['DELETE FROM mirror.block', 'SELECT * FROM mirror.emr_event', 'SELECT * FROM gateway.operation'])
      await expect(client.query(sql), sql).rejects.toMatchObject({ code: '42501' });
  } finally {
    await client.end();
  }
});
