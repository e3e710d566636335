import { join } from 'node:path';
import pg from 'pg';
import { createHospitalDatabase, type HospitalDatabase, startPostgres } from '../../deploy/local/postgres.js';
import { migrate } from '../../libs/database/src/migrate.js';

/** The bench's own Postgres, with the settings of the embedded stack: durable. */
export interface BenchPostgres {
  /** A database as a hospital has it, migrated and empty; the one of that name before is gone. */
  fresh(name: string): Promise<HospitalDatabase>;
  stop(): Promise<void>;
}

export async function startBenchPostgres(dir: string, port: number): Promise<BenchPostgres> {
  const server = await startPostgres({ dir: join(dir, 'postgres'), port });
  return {
    async fresh(name) {
      const database = `bench_${name}`;
      const client = new pg.Client({ connectionString: server.url });
      await client.connect();
      try {
        await client.query(`DROP DATABASE IF EXISTS ${database} WITH (FORCE)`);
        // What earlier runs left dirty would be written out during the measurement.
        await client.query('CHECKPOINT');
      } finally {
        await client.end();
      }
      const urls = await createHospitalDatabase(server, database);
      await migrate(urls.ownerUrl);
      return urls;
    },
    stop: () => server.stop(),
  };
}

/** The block that a notification of the channel `mirror_commit` says the mirror holds now. */
export function committedNumber(payload: string | undefined): bigint {
  return BigInt((JSON.parse(payload ?? '{}') as { number: string }).number);
}
