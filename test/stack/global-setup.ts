import { mkdtempSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { removePostgres, startPostgres } from '../../deploy/local/postgres.js';

declare module 'vitest' {
  interface ProvidedContext {
    /** The Postgres of this run: superuser URL, and the folder where the passwords of its databases are kept. */
    postgres: { url: string; dir: string };
  }
}

/** One Postgres for all integration tests of a run; every test file makes its own database on it (`freshDatabase`). */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const dir = mkdtempSync(join(tmpdir(), 'emr-test-postgres-'));
  const server = await startPostgres({ dir, port: await freePort() });
  project.provide('postgres', { url: server.url, dir });
  return async () => {
    await server.stop();
    await removePostgres(dir);
  };
}

async function freePort(): Promise<number> {
  return new Promise((done, fail) => {
    const probe = createServer();
    probe.once('error', fail);
    probe.listen(0, '127.0.0.1', () => {
      const { port } = probe.address() as { port: number };
      probe.close(() => done(port));
    });
  });
}
