import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { answers, assertFree, initialise, launch, signal, stopPostmaster } from './postgres-process.js';
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

export interface HospitalDatabase {
  /** Owns the schema; migrations run with it. */
  ownerUrl: string;
  gatewayUrl: string;
  mirrorUrl: string;
  /** Reads the mirror's blocks, so that a node can be made whole from them. */
  nodeUrl: string;
}

/**
 * A database with its four login roles, made or brought up to date: `<name>_owner`, `<name>_gateway` (member of emr_gateway, owns schema
 * bullmq), `<name>_mirror` (member of emr_mirror), `<name>_node` (member of emr_node). Passwords are made once and kept in the state folder.
 */
export async function createHospitalDatabase(
  server: Pick<PostgresServer, 'url' | 'dir'>,
  name: string,
): Promise<HospitalDatabase> {
  if (!/^[a-z][a-z0-9_]{0,40}$/.test(name)) throw new RangeError(`not a database name: ${name}`);
  const port = Number(new URL(server.url).port);
  const kinds = ['owner', 'gateway', 'mirror', 'node'] as const;
  const passwords = secretOf(join(server.dir, 'credentials', `${name}.json`), kinds);
  await withClient(server.url, async (client) => {
    await client.query('SELECT pg_advisory_lock(4100)'); // until this connection ends: roles and grants are shared by all databases
    const quiet = (role: string, action: string) =>
      client.query(`DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '${role}') THEN ${action}; END IF;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$`);
    for (const role of ['emr_gateway', 'emr_mirror', 'emr_node']) await quiet(role, `CREATE ROLE ${role} NOLOGIN`);
    for (const kind of kinds) {
      await quiet(`${name}_${kind}`, `CREATE ROLE ${name}_${kind} LOGIN`);
      await client.query(`ALTER ROLE ${name}_${kind} LOGIN PASSWORD '${passwords[kind]}'`);
    }
    for (const kind of ['gateway', 'mirror', 'node']) await client.query(`GRANT emr_${kind} TO ${name}_${kind}`);
    await client.query(`GRANT ${name}_gateway TO ${name}_owner`); // migrations also set rights on the queue's schema
    const { rowCount } = await client.query('SELECT 1 FROM pg_database WHERE datname = $1', [name]);
    if (!rowCount) await client.query(`CREATE DATABASE ${name} OWNER ${name}_owner TEMPLATE template0`);
    await client.query(`REVOKE ALL ON DATABASE ${name} FROM PUBLIC`);
    await client.query(`GRANT CONNECT ON DATABASE ${name} TO ${kinds.map((kind) => `${name}_${kind}`).join()}`);
  });
  const superuser = new URL(server.url);
  superuser.pathname = `/${name}`;
  await withClient(superuser.href, async (client) => {
    await client.query(`CREATE SCHEMA IF NOT EXISTS bullmq AUTHORIZATION ${name}_gateway`);
  });
  const of = (kind: (typeof kinds)[number]) => urlOf(`${name}_${kind}`, passwords[kind] as string, port, name);
  return { ownerUrl: of('owner'), gatewayUrl: of('gateway'), mirrorUrl: of('mirror'), nodeUrl: of('node') };
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

/** Passwords (32 hex digits, so that they need no quoting) made when first asked for and kept, readable by us alone. */
function secretOf(file: string, names: readonly string[]): Record<string, string> {
  const kept = existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Record<string, string>) : {};
  if (names.every((name) => name in kept)) return kept;
  mkdirSync(join(file, '..'), { recursive: true, mode: 0o700 });
  const made = Object.fromEntries(names.map((name) => [name, kept[name] ?? randomBytes(16).toString('hex')]));
  const draft = `${file}.${randomBytes(4).toString('hex')}`;
  writeFileSync(draft, JSON.stringify(made), { mode: 0o600 });
  renameSync(draft, file);
  return made;
}
