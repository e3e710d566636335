import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { chownSync, closeSync, openSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { runningPostmaster, type ServerUser, serves } from './postgres-runtime.js';

const START_TIMEOUT_MS = 180_000; // a crash recovery replays up to max_wal_size
const LOG_LIMIT_BYTES = 16 * 1024 * 1024;

// Durability is never traded here. `terse` keeps the values of rows (DETAIL lines) out of the log.
const SETTINGS: Record<string, string> = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  password_encryption: 'scram-sha-256',
  max_connections: '200',
  shared_buffers: '256MB',
  fsync: 'on',
  synchronous_commit: 'on',
  full_page_writes: 'on',
  max_wal_size: '2GB',
  checkpoint_timeout: '15min',
  jit: 'off',
  log_error_verbosity: 'terse',
  log_min_messages: 'warning',
};

/** initdb works in a draft folder, so that a kill in the middle leaves nothing that looks like a database. */
export function initialise(binaries: string, data: string, user: ServerUser, password: string): void {
  const draft = join(data, 'draft');
  const passwordFile = join(data, 'password');
  rmSync(draft, { recursive: true, force: true });
  writeFileSync(passwordFile, password, { mode: 0o600 });
  if (user.uid !== undefined && user.gid !== undefined) chownSync(passwordFile, user.uid, user.gid);
  const { status, stderr, stdout, error } = spawnSync(
    join(binaries, 'bin', 'initdb'),
    [
      ...['-D', draft, '-U', 'postgres', `--pwfile=${passwordFile}`, '--auth=scram-sha-256'],
      ...['--encoding=UTF8', '--locale-provider=builtin', '--builtin-locale=C.UTF-8', '--locale=C'],
    ],
    { ...user, cwd: '/', env: environment(), encoding: 'utf8', timeout: START_TIMEOUT_MS },
  );
  rmSync(passwordFile, { force: true });
  if (status !== 0)
    throw new Error(`initdb ended with ${status ?? error?.message}: ${stderr || stdout}`, { cause: error });
  const names = spawnSync('ls', ['-A', draft], { encoding: 'utf8' }).stdout.split('\n').filter(Boolean);
  for (const name of names.filter((entry) => entry !== 'PG_VERSION')) {
    rmSync(join(data, name), { recursive: true, force: true });
    renameSync(join(draft, name), join(data, name));
  }
  renameSync(join(draft, 'PG_VERSION'), join(data, 'PG_VERSION')); // last: it marks a complete folder
  rmSync(draft, { recursive: true, force: true });
}

export async function launch(binaries: string, data: string, user: ServerUser, port: number, dir: string, url: string) {
  const logFile = join(dir, 'postgres.log');
  const size = statSync(logFile, { throwIfNoEntry: false })?.size ?? 0;
  const settings = Object.entries({ ...SETTINGS, port: String(port) }).flatMap(([name, value]) => [
    '-c',
    `${name}=${value}`,
  ]);
  const deadline = Date.now() + START_TIMEOUT_MS;
  for (;;) {
    const log = openSync(logFile, size > LOG_LIMIT_BYTES ? 'w' : 'a', 0o600);
    const offset = statSync(logFile).size;
    // A pid file left by a crash may name a process of somebody else by now; ours is known not to run.
    if (!runningPostmaster(data)) rmSync(join(data, 'postmaster.pid'), { force: true });
    const child = spawn(join(binaries, 'bin', 'postgres'), ['-D', data, ...settings], {
      ...user,
      cwd: '/',
      env: environment(),
      detached: true,
      stdio: ['ignore', log, log],
    });
    closeSync(log);
    child.unref();
    const ended = await becomesReady(child, data, url, deadline);
    if (ended === undefined) return child.pid as number;
    const text = readFileSync(logFile, 'utf8').slice(offset);
    // After a SIGKILL of the postmaster its children need a moment to notice.
    if (/shared memory block .* is still in use/.test(text) && Date.now() < deadline) {
      await sleep(200);
      continue;
    }
    throw new Error(`Postgres did not start (${ended}); the end of ${logFile}:\n${text.slice(-2_000)}`);
  }
}

/** @returns undefined when connections are taken, else why not. */
async function becomesReady(
  child: ChildProcess,
  data: string,
  url: string,
  deadline: number,
): Promise<string | undefined> {
  let ended: string | undefined;
  child.once('error', (error) => {
    ended = error.message;
  });
  child.once('exit', (code, signalName) => {
    ended = `ended with ${code ?? signalName}`;
  });
  while (ended === undefined) {
    if (runningPostmaster(data)?.ready && (await answers(url))) return undefined;
    if (Date.now() > deadline) {
      child.kill('SIGQUIT');
      return 'not ready in time';
    }
    await sleep(20);
  }
  return ended;
}

export async function answers(url: string): Promise<boolean> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5_000 });
  client.on('error', () => undefined);
  try {
    await client.connect();
    await client.query('SELECT 1');
    return true;
  } catch {
    return false;
  } finally {
    await client.end().catch(() => undefined);
  }
}

/** Fast shutdown (connections end, a checkpoint is written), then harder. */
export async function stopPostmaster(pid: number, data: string): Promise<void> {
  const steps: Array<[NodeJS.Signals, number]> = [
    ['SIGINT', 60_000],
    ['SIGQUIT', 10_000],
    ['SIGKILL', 10_000],
  ];
  for (const [name, patienceMs] of steps) {
    signal(pid, data, name);
    for (const until = Date.now() + patienceMs; Date.now() < until; await sleep(20)) {
      if (!serves(pid, data)) return;
    }
  }
  throw new Error(`Postgres (process ${pid}) does not end`);
}

export function signal(pid: number, data: string, name: NodeJS.Signals): void {
  if (!serves(pid, data)) return;
  try {
    process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** @throws Error naming the port when something else listens there. */
export async function assertFree(port: number): Promise<void> {
  await new Promise<void>((done, fail) => {
    const probe = createServer();
    probe.once('error', (cause) =>
      fail(new Error(`Postgres needs port ${port} on 127.0.0.1, which is taken`, { cause })),
    );
    probe.listen(port, '127.0.0.1', () => probe.close(() => done()));
  });
}

function environment(): NodeJS.ProcessEnv {
  return { PATH: '/usr/local/bin:/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' };
}
