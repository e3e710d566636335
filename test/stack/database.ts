import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { inject } from 'vitest';
import { createHospitalDatabase, type HospitalDatabase } from '../../deploy/local/postgres.js';
import { migrate } from '../../libs/database/src/migrate.js';

export interface TestDatabase extends HospitalDatabase {
  name: string;
  /** Of the superuser on this database: for what no role of the product may do. */
  superuserUrl: string;
  /** Ends its connections and removes it with its roles. */
  drop(): Promise<void>;
}

/** A database for one test file on the Postgres of this run: roles as in production, and migrated unless told otherwise. */
export async function freshDatabase(options: { migrated?: boolean } = {}): Promise<TestDatabase> {
  const server = inject('postgres');
  const name = `test_${randomBytes(6).toString('hex')}`;
  const urls = await createHospitalDatabase(server, name);
  if (options.migrated ?? true) await migrate(urls.ownerUrl);
  const superuserUrl = new URL(server.url);
  superuserUrl.pathname = `/${name}`;
  return {
    ...urls,
    name,
    superuserUrl: superuserUrl.href,
    async drop() {
      const client = new pg.Client({ connectionString: server.url });
      await client.connect();
      try {
        await client.query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
        await client.query(`DROP ROLE IF EXISTS ${name}_owner, ${name}_gateway, ${name}_mirror, ${name}_node`);
      } finally {
        await client.end();
      }
    },
  };
}
