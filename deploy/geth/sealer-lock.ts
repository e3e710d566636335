import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { commandLine, isAlive, processStart } from './child-process.js';

interface Holder {
  pid: number;
  /** tells the process from a later one under the same pid */
  started: string;
  /** folder of the node that seals */
  dir: string;
}

/**
 * Holds a sealer's key for this process: two nodes that seal with one key sign two blocks at one height, and what was
 * final is no longer so. Machine-wide for the user; over machines it is the operator's duty.
 * @param address of the sealer
 * @returns function that gives the lock back
 * @throws Error naming who holds it
 */
export function lockSealer(address: string, dir: string, folder = sealerLockFolder()): () => void {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const file = join(folder, `${address.toLowerCase()}.json`);
  const mine: Holder = { pid: process.pid, started: processStart(process.pid), dir: resolve(dir) };
  for (let attempt = 0; ; attempt += 1) {
    try {
      writeFileSync(file, JSON.stringify(mine), { flag: 'wx', mode: 0o600 });
      break;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST' || attempt > 3) throw error;
      const holder = readHolder(file);
      if (holder && isHolding(holder, mine.dir)) {
        throw new Error(`sealer ${address} is in use by process ${holder.pid} for the node in ${holder.dir}`);
      }
      rmSync(file, { force: true });
    }
  }
  const release = () => {
    const holder = readHolder(file);
    if (holder?.pid === mine.pid && holder.dir === mine.dir) rmSync(file, { force: true });
  };
  process.once('exit', release);
  return () => {
    process.off('exit', release);
    release();
  };
}

export function sealerLockFolder(): string {
  return join(tmpdir(), `emr-sealers-${process.getuid?.() ?? 0}`);
}

/** The holder lives; or it was killed and its node still seals, in another folder (in ours we stop it before we start). */
function isHolding(holder: Holder, ourDir: string): boolean {
  if (isAlive(holder.pid) && processStart(holder.pid) === holder.started) return true;
  if (holder.dir === ourDir) return false;
  const node = Number(readText(join(holder.dir, 'geth.pid')));
  return Number.isSafeInteger(node) && node > 1 && isAlive(node) && commandLine(node).includes(holder.dir);
}

function readHolder(file: string): Holder | undefined {
  try {
    return JSON.parse(readText(file));
  } catch {
    return undefined;
  }
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
