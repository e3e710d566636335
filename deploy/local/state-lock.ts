import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { takeLock } from '../geth/process-lock.js';

/** Keeps a second start off the same state folder. @returns function that gives it back @throws Error naming the other process */
export function lockState(dir: string): () => void {
  mkdirSync(dir, { recursive: true });
  const lock = takeLock(join(dir, 'stack.lock'));
  if (lock.holder === undefined) return lock.release;
  throw new Error(
    `the hospitals are already running from ${dir} (process ${lock.holder}); end that one, or use --state DIR --ports BASE`,
  );
}
