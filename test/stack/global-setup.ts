import { mkdtempSync, readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { freePort } from '../../deploy/geth/ports.js';
import { removePostgres, startPostgres } from '../../deploy/local/postgres.js';

declare module 'vitest' {
  interface ProvidedContext {
    /** The Postgres of this run: superuser URL, and the folder where the passwords of its databases are kept. */
    postgres: { url: string; dir: string };
  }
}

const PREFIX = 'emr-test-postgres-';

/** One Postgres for all integration tests of a run; every test file makes its own database on it (`freshDatabase`). */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  await removeForgotten();
  const dir = mkdtempSync(join(tmpdir(), `${PREFIX}${process.pid}-`));
  const server = await startPostgres({ dir, port: await freePort() });
  project.provide('postgres', { url: server.url, dir });
  // When the run is ended by a signal there is no time to wait: the server is told, and its folder goes with the next run.
  const hurry = () => void server.kill();
  process.once('exit', hurry);
  return async () => {
    process.off('exit', hurry);
    await server.stop();
    await removePostgres(dir);
  };
}

/** Servers and folders of runs that were killed. */
async function removeForgotten(): Promise<void> {
  for (const name of readdirSync(tmpdir()).filter((entry) => entry.startsWith(PREFIX))) {
    const pid = Number(name.slice(PREFIX.length).split('-')[0]);
    if (Number.isInteger(pid) && !isAlive(pid)) await removePostgres(join(tmpdir(), name));
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}
