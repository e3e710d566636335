import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { isAlive, processStart } from './child-process.js';

/**
 * Takes a lock file for this process. One that a dead process has left is taken over.
 * @returns the way to give it back; or the id of the process that holds it
 */
export function takeLock(file: string): { release(): void; holder?: undefined } | { holder: number } {
  const mine = `${process.pid} ${processStart(process.pid)}`;
  for (let attempt = 0; ; attempt += 1) {
    try {
      writeFileSync(file, mine, { flag: 'wx', mode: 0o600 });
      break;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST' || attempt > 3) throw error;
      const holder = lockHolder(file);
      if (holder !== undefined) return { holder };
      rmSync(file, { force: true });
    }
  }
  const release = () => {
    process.off('exit', release);
    if (textOf(file) === mine) rmSync(file, { force: true });
  };
  process.once('exit', release);
  return { release };
}

/** The process that holds a lock file and lives; undefined when there is none. */
export function lockHolder(file: string): number | undefined {
  const [pid = '', started = ''] = textOf(file).split(' ');
  return isAlive(Number(pid)) && processStart(Number(pid)) === started ? Number(pid) : undefined;
}

function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
