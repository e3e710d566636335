import { createDataSource } from './data-source.js';

// Any constant: whoever migrates this database waits for this lock.
const MIGRATION_LOCK = 4_150_001;

/**
 * Brings the database to the latest schema; does nothing when it is there already. Safe to run from several processes at once.
 * @param ownerUrl connection of the database's owner
 * @param onProgress told the name of each migration once it has been carried out
 * @returns the names carried out, oldest first
 */
export async function migrate(ownerUrl: string, onProgress?: (name: string) => void): Promise<string[]> {
  const dataSource = createDataSource({ url: ownerUrl, applicationName: 'emr-migrate', poolSize: 3 });
  await dataSource.initialize();
  try {
    const lock = dataSource.createQueryRunner();
    try {
      await lock.query('SELECT pg_advisory_lock($1)', [MIGRATION_LOCK]);
      const done = await dataSource.runMigrations({ transaction: 'each' });
      for (const { name } of done) onProgress?.(name);
      await grantQueueSchema(lock.query.bind(lock));
      await lock.query('SELECT gateway.rebase_access_log()');
      return done.map(({ name }) => name);
    } finally {
      await lock.query('SELECT pg_advisory_unlock($1)', [MIGRATION_LOCK]).catch(() => undefined);
      await lock.release();
    }
  } finally {
    await dataSource.destroy();
  }
}

/**
 * BullMQ's Postgres backend keeps its tables in a schema of its own and migrates them itself, as the gateway's role. Its migrator
 * says CREATE SCHEMA IF NOT EXISTS, for which Postgres asks the database-wide right even when the schema is there.
 */
async function grantQueueSchema(query: (sql: string) => Promise<unknown>): Promise<void> {
  await query(`
DO $$ BEGIN
  EXECUTE format('GRANT CREATE ON DATABASE %I TO emr_gateway', current_database());
END $$;
CREATE SCHEMA IF NOT EXISTS bullmq;
GRANT ALL ON SCHEMA bullmq TO emr_gateway`);
}
