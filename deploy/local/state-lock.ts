import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isAlive, processStart } from '../geth/child-process.js';

/** Keeps a second start off the same state folder. @returns function that gives it back @throws Error naming the other process */
export function lockState(dir: string): () => void {
  mkdirSync(dir, { recursive: true });
  const file = join(dir, 'stack.lock');
  const mine = `${process.pid} ${processStart(process.pid)}`;
  for (let attempt = 0; ; attempt += 1) {
    try {
      writeFileSync(file, mine, { flag: 'wx', mode: 0o600 });
      break;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST' || attempt > 3) throw error;
      const [pid = '', started = ''] = text(file).split(' ');
      if (isAlive(Number(pid)) && processStart(Number(pid)) === started) {
        throw new Error(
          `the hospitals are already running from ${dir} (process ${pid}); end that one, or use --state DIR --ports BASE`,
        );
      }
      rmSync(file, { force: true });
    }
  }
  const release = () => {
    if (text(file) === mine) rmSync(file, { force: true });
  };
  process.once('exit', release);
  return () => {
    process.off('exit', release);
    release();
  };
}

function text(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
