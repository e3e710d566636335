import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import {
  canEnter,
  locateBinaries,
  openPlace,
  outsideName,
  ownerOf,
  runningPostmaster,
  type ServerUser,
  serverUser,
  serves,
} from './postgres-runtime.js';

interface Logger {
  info(message: string): void;
  warn(message: string): void;
}

export interface PostgresOptions {
  /** State folder: credentials, log and (where the server's user can reach it) the data. Made when missing. */
  dir: string;
  /** On 127.0.0.1. */
  port: number;
  logger?: Logger;
  /** Start the server again when it ends without having been asked to (default: no). */
  restart?: boolean;
}

export interface PostgresServer {
  /** Of the superuser, database `postgres`. */
  readonly url: string;
  readonly port: number;
  readonly dir: string;
  /** Of the postmaster; another one after a restart. */
  readonly pid: number;
  /** Ends connections and the server; what was committed is on disk. */
  stop(): Promise<void>;
  /** SIGKILL, as a crash would. With `restart` it comes back by itself. */
  kill(): Promise<void>;
}

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

/**
 * Starts Postgres, or adopts the one that a killed parent left behind on the same data and port.
 * The server is a process of its own: Ctrl-C and the death of the parent don't reach it, so that it can be stopped in order or adopted.
 * @throws Error when the port is taken, the data belong to another user, or the server doesn't come up (with the end of its log).
 */
export async function startPostgres(options: PostgresOptions): Promise<PostgresServer> {
  const dir = resolve(options.dir);
  const { port, logger } = options;
  mkdirSync(dir, { recursive: true });
  chmodSync(dir, 0o711); // the server's user passes through; the secrets inside have modes of their own
  const password = secretOf(join(dir, 'credentials', 'superuser.json'), ['password']).password as string;
  const { data, user } = await place(dir, logger);
  const url = urlOf('postgres', password, port, 'postgres');

  let stopping = false;
  let pid = await bringUp();
  const watch = options.restart ? setInterval(() => void revive(), 250) : undefined;
  watch?.unref();
  let reviving: Promise<void> | undefined;

  async function bringUp(): Promise<number> {
    const running = runningPostmaster(data);
    if (running && running.port === port && (await answers(url))) {
      logger?.info(`Postgres of an earlier start (process ${running.pid}) is taken over`);
      return running.pid;
    }
    if (running) {
      logger?.info(`Postgres of an earlier start (process ${running.pid}) is stopped first`);
      await stopPostmaster(running.pid, data);
    }
    await assertFree(port);
    const binaries = locateBinaries(user);
    if (!existsSync(join(data, 'PG_VERSION'))) initialise(binaries, data, user, password);
    return launch(binaries, data, user, port, dir, url);
  }

  function revive(): Promise<void> | undefined {
    if (stopping || reviving || serves(pid, data)) return reviving;
    logger?.warn(`Postgres (process ${pid}) ended unasked; starting it again`);
    reviving = bringUp()
      .then((next) => {
        pid = next;
      })
      .catch((error: Error) => logger?.warn(`Postgres did not come back: ${error.message}`))
      .finally(() => {
        reviving = undefined;
      });
    return reviving;
  }

  return {
    url,
    port,
    dir,
    get pid() {
      return pid;
    },
    async stop() {
      stopping = true;
      clearInterval(watch);
      await reviving;
      await stopPostmaster(pid, data);
    },
    async kill() {
      signal(pid, data, 'SIGKILL');
      while (serves(pid, data)) await sleep(10);
    },
  };
}

/** Removes all state, data kept elsewhere included. A server still running on it is stopped first. */
export async function removePostgres(dir: string): Promise<void> {
  const link = join(resolve(dir), 'data');
  if (existsSync(link)) {
    const data = realpathSync(link);
    const running = runningPostmaster(data);
    if (running) await stopPostmaster(running.pid, data);
    rmSync(data, { recursive: true, force: true });
  }
  rmSync(dir, { recursive: true, force: true });
}

/** Where the data lie: in `dir`, or, when the server's user can't get there, in an open place with a link to it in `dir`. */
async function place(dir: string, logger?: Logger): Promise<{ data: string; user: ServerUser }> {
  const own = join(dir, 'data');
  if (existsSync(own)) {
    const data = realpathSync(own);
    const owner = ownerOf(data);
    const user = serverUser(owner);
    if (user.uid === undefined && owner?.uid !== process.getuid?.()) {
      throw new Error(
        `${data} belongs to another user (uid ${owner?.uid}): start as that user or as root, or remove it`,
      );
    }
    if (canEnter(user, data)) return { data, user };
    throw new Error(`The user that Postgres runs as (uid ${user.uid}) can't enter ${data} any more`);
  }
  const user = serverUser();
  let data = own;
  if (!canEnter(user, dir)) {
    data = join(openPlace(user), outsideName(dir));
    logger?.info(`Postgres can't run as root and its user can't enter ${dir}; its data go to ${data}`);
    // Without a link to it, that is left from a state folder somebody removed.
    const forgotten = runningPostmaster(data);
    if (forgotten) await stopPostmaster(forgotten.pid, data);
    rmSync(data, { recursive: true, force: true });
  }
  rmSync(own, { force: true }); // a link to data that are gone
  mkdirSync(data, { mode: 0o700 });
  if (user.uid !== undefined && user.gid !== undefined) chownSync(data, user.uid, user.gid);
  if (data !== own) symlinkSync(data, own);
  return { data: realpathSync(data), user };
}

/** initdb works in a draft folder, so that a kill in the middle leaves nothing that looks like a database. */
function initialise(binaries: string, data: string, user: ServerUser, password: string): void {
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

async function launch(binaries: string, data: string, user: ServerUser, port: number, dir: string, url: string) {
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

async function answers(url: string): Promise<boolean> {
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
async function stopPostmaster(pid: number, data: string): Promise<void> {
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

function signal(pid: number, data: string, name: NodeJS.Signals): void {
  if (!serves(pid, data)) return;
  try {
    process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** @throws Error naming the port when something else listens there. */
async function assertFree(port: number): Promise<void> {
  await new Promise<void>((done, fail) => {
    const probe = createServer();
    probe.once('error', (cause) =>
      fail(new Error(`Postgres needs port ${port} on 127.0.0.1, which is taken`, { cause })),
    );
    probe.listen(port, '127.0.0.1', () => probe.close(() => done()));
  });
}

export interface HospitalDatabase {
  /** Owns the schema; migrations run with it. */
  ownerUrl: string;
  gatewayUrl: string;
  mirrorUrl: string;
}

/**
 * A database with its three login roles, made or brought up to date: `<name>_owner`, `<name>_gateway` (member of emr_gateway, owns schema
 * bullmq), `<name>_mirror` (member of emr_mirror). Passwords are made once and kept in the state folder.
 */
export async function createHospitalDatabase(
  server: Pick<PostgresServer, 'url' | 'dir'>,
  name: string,
): Promise<HospitalDatabase> {
  if (!/^[a-z][a-z0-9_]{0,40}$/.test(name)) throw new RangeError(`not a database name: ${name}`);
  const port = Number(new URL(server.url).port);
  const kinds = ['owner', 'gateway', 'mirror'] as const;
  const passwords = secretOf(join(server.dir, 'credentials', `${name}.json`), kinds);
  await withClient(server.url, async (client) => {
    await client.query('SELECT pg_advisory_lock(4100)'); // until this connection ends: roles and grants are shared by all databases
    const quiet = (role: string, action: string) =>
      client.query(`DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '${role}') THEN ${action}; END IF;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$`);
    await quiet('emr_gateway', 'CREATE ROLE emr_gateway NOLOGIN');
    await quiet('emr_mirror', 'CREATE ROLE emr_mirror NOLOGIN');
    for (const kind of kinds) {
      await quiet(`${name}_${kind}`, `CREATE ROLE ${name}_${kind} LOGIN`);
      await client.query(`ALTER ROLE ${name}_${kind} LOGIN PASSWORD '${passwords[kind]}'`);
    }
    await client.query(`GRANT emr_gateway TO ${name}_gateway`);
    await client.query(`GRANT emr_mirror TO ${name}_mirror`);
    await client.query(`GRANT ${name}_gateway TO ${name}_owner`); // migrations also set rights on the queue's schema
    const { rowCount } = await client.query('SELECT 1 FROM pg_database WHERE datname = $1', [name]);
    if (!rowCount) await client.query(`CREATE DATABASE ${name} OWNER ${name}_owner TEMPLATE template0`);
    await client.query(`REVOKE ALL ON DATABASE ${name} FROM PUBLIC`);
    await client.query(`GRANT CONNECT ON DATABASE ${name} TO ${name}_owner, ${name}_gateway, ${name}_mirror`);
  });
  const superuser = new URL(server.url);
  superuser.pathname = `/${name}`;
  await withClient(superuser.href, async (client) => {
    await client.query(`CREATE SCHEMA IF NOT EXISTS bullmq AUTHORIZATION ${name}_gateway`);
  });
  const of = (kind: (typeof kinds)[number]) => urlOf(`${name}_${kind}`, passwords[kind] as string, port, name);
  return { ownerUrl: of('owner'), gatewayUrl: of('gateway'), mirrorUrl: of('mirror') };
}

async function withClient(url: string, work: (client: pg.Client) => Promise<void>): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await work(client);
  } finally {
    await client.end();
  }
}

function urlOf(role: string, password: string, port: number, database: string): string {
  return `postgres://${role}:${password}@127.0.0.1:${port}/${database}`;
}

/** Passwords (32 hex digits, so that they need no quoting) made at first use and kept, readable by us alone. */
function secretOf(file: string, names: readonly string[]): Record<string, string> {
  if (existsSync(file)) return JSON.parse(readFileSync(file, 'utf8')) as Record<string, string>;
  mkdirSync(join(file, '..'), { recursive: true, mode: 0o700 });
  const made = Object.fromEntries(names.map((name) => [name, randomBytes(16).toString('hex')]));
  const draft = `${file}.${randomBytes(4).toString('hex')}`;
  writeFileSync(draft, JSON.stringify(made), { mode: 0o600 });
  renameSync(draft, file);
  return made;
}

function environment(): NodeJS.ProcessEnv {
  return { PATH: '/usr/local/bin:/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' };
}
