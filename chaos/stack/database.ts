import pg from 'pg';
import { createHospitalDatabase, type HospitalDatabase, type PostgresServer } from '../../deploy/local/postgres.js';
import { migrate } from '../../libs/database/src/migrate.js';

/** Runs statements as the superuser, one after the other. */
export async function asSuperuser(url: string, statements: string[]): Promise<void> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5_000 });
  client.on('error', () => undefined);
  await client.connect();
  try {
    for (const statement of statements) await client.query(statement);
  } finally {
    await client.end().catch(() => undefined);
  }
}

/** The superuser's URL of one database. */
export function superuserUrl(server: Pick<PostgresServer, 'url'>, database: string): string {
  const url = new URL(server.url);
  url.pathname = `/${database}`;
  return url.href;
}

/** Ends its connections and removes it. */
export function dropDatabase(server: PostgresServer, name: string): Promise<void> {
  return asSuperuser(server.url, [`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`]);
}

/** Nobody may be connected to it. */
export function renameDatabase(server: PostgresServer, from: string, to: string): Promise<void> {
  return asSuperuser(server.url, [
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${from}' AND pid <> pg_backend_pid()`,
    `DROP DATABASE IF EXISTS ${to} WITH (FORCE)`,
    `ALTER DATABASE ${from} RENAME TO ${to}`,
  ]);
}

/** The hospital's database as the template has it, with the roles and passwords it had. */
export async function databaseFrom(server: PostgresServer, template: string, name: string): Promise<HospitalDatabase> {
  await asSuperuser(server.url, [
    `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`,
    `CREATE DATABASE ${name} OWNER ${name}_owner TEMPLATE ${template} STRATEGY file_copy`,
  ]);
  const database = await createHospitalDatabase(server, name);
  // Rights on the database itself are not copied with it.
  await migrate(database.ownerUrl, () => undefined);
  return database;
}
