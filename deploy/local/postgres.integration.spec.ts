import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, realpathSync, rmSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freePort } from '../geth/ports.js';
import { createHospitalDatabase, removePostgres, startPostgres } from './postgres.js';
import { serves } from './postgres-runtime.js';

const asRoot = process.getuid?.() === 0;

async function query(url: string, text: string): Promise<Array<Record<string, unknown>>> {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => undefined);
  await client.connect();
  try {
    return (await client.query(text)).rows;
  } finally {
    await client.end().catch(() => undefined);
  }
}

async function eventually(condition: () => boolean): Promise<void> {
  for (const until = Date.now() + 60_000; !condition(); await sleep(50)) {
    if (Date.now() > until) throw new Error('the condition did not come true within 60 s');
  }
}

function realData(dir: string): string {
  return realpathSync(join(dir, 'data'));
}

/** A process of its own that starts Postgres and then waits. */
async function startParent(dir: string, port: number): Promise<{ child: ChildProcess; postgresPid: number }> {
  const here = (path: string) => join(import.meta.dirname, '../../test/stack', path);
  const child = fork(here('postgres.child.ts'), [dir, String(port)], {
    execArgv: ['--import', here('typescript.mjs')],
  });
  const ended = once(child, 'exit').then(([code, signal]) => {
    throw new Error(`it ended before Postgres ran: ${signal ?? code}`);
  });
  const [postgresPid] = (await Promise.race([once(child, 'message'), ended])) as [number];
  ended.catch(() => undefined);
  return { child, postgresPid };
}

describe('the embedded Postgres', () => {
  let dir: string;
  let port: number;

  beforeAll(async () => {
    dir = mkdtempSync(join(tmpdir(), 'emr-postgres-spec-'));
    port = await freePort();
  });
  afterAll(() => removePostgres(dir));

  it('keeps what was committed over a stop and a start', async () => {
    const first = await startPostgres({ dir, port });
    await query(first.url, 'CREATE TABLE kept AS SELECT 42 AS answer');
    await first.stop();
    expect(serves(first.pid, realData(dir))).toBe(false);
    const second = await startPostgres({ dir, port });
    expect(await query(second.url, 'SELECT answer FROM kept')).toEqual([{ answer: 42 }]);
    await second.stop();
  });

  it('runs durable, on the loopback interface alone, with SCRAM', async () => {
    const server = await startPostgres({ dir, port });
    const rows = await query(
      server.url,
      `SELECT name, setting FROM pg_settings WHERE name IN
        ('fsync', 'synchronous_commit', 'full_page_writes', 'listen_addresses', 'password_encryption', 'unix_socket_directories')`,
    );
    expect(Object.fromEntries(rows.map(({ name, setting }) => [name, setting]))).toEqual({
      fsync: 'on',
      full_page_writes: 'on',
      listen_addresses: '127.0.0.1',
      password_encryption: 'scram-sha-256',
      synchronous_commit: 'on',
      unix_socket_directories: '',
    });
    expect(statSync(join(dir, 'credentials', 'superuser.json')).mode & 0o777).toBe(0o600);
    const wrong = server.url.replace(/:[0-9a-f]{32}@/, ':wrong@');
    await expect(query(wrong, 'SELECT 1')).rejects.toThrow(/password authentication failed/);
    await server.stop();
  });

  it('comes back after a SIGKILL of the server with what was committed', async () => {
    const first = await startPostgres({ dir, port });
    await query(first.url, 'CREATE TABLE crashed AS SELECT generate_series(1, 1000) AS n');
    await first.kill();
    const second = await startPostgres({ dir, port });
    expect(second.pid).not.toBe(first.pid);
    expect(await query(second.url, 'SELECT count(*)::int AS n FROM crashed')).toEqual([{ n: 1000 }]);
    await second.stop();
  });

  it('starts again by itself after a SIGKILL when told to', async () => {
    const server = await startPostgres({ dir, port, restart: true });
    const before = server.pid;
    await server.kill();
    await eventually(() => server.pid !== before);
    expect(await query(server.url, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
    await server.stop();
  });

  it('outlives a SIGKILL of its parent and is taken over by the next one', async () => {
    const parent = await startParent(dir, port);
    parent.child.kill('SIGKILL');
    await once(parent.child, 'exit');
    expect(serves(parent.postgresPid, realData(dir))).toBe(true);
    const adopted = await startPostgres({ dir, port });
    expect(adopted.pid).toBe(parent.postgresPid);
    expect(await query(adopted.url, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
    await adopted.stop();
    expect(serves(parent.postgresPid, realData(dir))).toBe(false);
  });

  it('moves a server left on another port to the one asked for', async () => {
    const left = await startPostgres({ dir, port });
    const elsewhere = await freePort();
    const moved = await startPostgres({ dir, port: elsewhere });
    expect(moved.pid).not.toBe(left.pid);
    expect(new URL(moved.url).port).toBe(String(elsewhere));
    await moved.stop();
  });

  it('names a taken port', async () => {
    const other = createServer().listen(port, '127.0.0.1');
    await once(other, 'listening');
    await expect(startPostgres({ dir, port })).rejects.toThrow(`port ${port} on 127.0.0.1, which is taken`);
    other.close();
    await once(other, 'close');
  });

  it('gives each hospital a database that no other hospital can enter', async () => {
    const server = await startPostgres({ dir, port });
    const a = await createHospitalDatabase(server, 'hospital_a');
    const b = await createHospitalDatabase(server, 'hospital_b');
    expect(await createHospitalDatabase(server, 'hospital_a')).toEqual(a);
    for (const url of [a.ownerUrl, a.gatewayUrl, a.mirrorUrl, b.gatewayUrl]) {
      expect(await query(url, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
    }
    const foreign = new URL(a.gatewayUrl);
    foreign.pathname = '/hospital_b';
    await expect(query(foreign.href, 'SELECT 1')).rejects.toThrow(/permission denied for database/);
    await query(a.gatewayUrl, 'CREATE TABLE bullmq.owned (n int)');
    await expect(query(a.mirrorUrl, 'SELECT * FROM bullmq.owned')).rejects.toThrow(/permission denied/);
    await expect(query(a.gatewayUrl, 'CREATE SCHEMA mine')).rejects.toThrow(/permission denied/);
    await server.stop();
  });

  it.runIf(asRoot)(
    'works in a folder that only root can enter, and leaves nothing outside of it when removed',
    async () => {
      const closed = mkdtempSync(join(tmpdir(), 'emr-postgres-closed-'));
      chmodSync(closed, 0o700);
      const inner = join(closed, 'state');
      mkdirSync(inner);
      const server = await startPostgres({ dir: inner, port });
      const data = realData(inner);
      expect(data.startsWith(closed)).toBe(false);
      expect(await query(server.url, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
      await removePostgres(inner);
      expect(existsSync(data)).toBe(false);
      rmSync(closed, { recursive: true });
    },
  );
});
