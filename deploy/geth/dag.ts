import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { toHex } from '../../libs/platform/src/bytes.js';
import { keccak256 } from '../../libs/platform/src/keccak.js';
import { cacheDirectory, type GethBinary } from './binary.js';
import { takeLock } from './process-lock.js';
import { type Logger, run } from './program.js';

const EPOCH_BLOCKS = 30_000;
const PATIENCE_MS = 60 * 60_000;

/**
 * Where DAGs are kept: beside what else is made once, outside any chain's folder, as they are the same for every ethash network (1 GiB
 * for each 30,000 blocks) and must outlive a chain that is thrown away.
 */
export const dagDirectory = (env: NodeJS.ProcessEnv) => join(cacheDirectory(env), 'ethash');

/**
 * Makes the DAGs that mining needs, once: that of epoch 0, and that of epoch 1, which geth would otherwise make beside its first
 * blocks, with every core. Minutes each, 1 GiB each, all cores; a miner that finds them starts at once.
 * @throws Error with geth's words when one can't be made
 */
export async function ensureDags(
  geth: GethBinary,
  dagDir: string,
  logger: Logger,
  signal?: AbortSignal,
): Promise<void> {
  await mkdir(dagDir, { recursive: true });
  for (let said = false; ; said = true) {
    if ([0, 1].every((epoch) => existsSync(join(dagDir, dagName(epoch))))) return;
    const lock = takeLock(join(dagDir, 'dag.lock'));
    if (lock.holder === undefined) {
      try {
        for (const epoch of [0, 1]) await makeDag(geth, dagDir, epoch, logger, signal);
        return;
      } finally {
        lock.release();
      }
    }
    if (!said) logger.info(`process ${lock.holder} is making the DAGs; waiting for it`);
    await new Promise((wake) => setTimeout(wake, 1_000));
    signal?.throwIfAborted();
  }
}

async function makeDag(geth: GethBinary, dir: string, epoch: number, logger: Logger, signal?: AbortSignal) {
  if (existsSync(join(dir, dagName(epoch)))) return;
  logger.info(`making the DAG of epoch ${epoch} in ${dir}: once, it takes minutes and 1 GiB`);
  const began = Date.now();
  // geth writes beside it and renames: a file under the final name is whole.
  const options = { timeoutMs: PATIENCE_MS, ...(signal ? { signal } : {}) };
  const { code, output } = await run(geth.path, ['makedag', String(epoch * EPOCH_BLOCKS), dir], options);
  signal?.throwIfAborted();
  if (code !== 0 || !existsSync(join(dir, dagName(epoch)))) {
    throw new Error(`geth made no DAG in ${dir}: ${output.trim().split('\n').at(-1) ?? `it ended with ${code}`}`);
  }
  logger.info(`made it in ${Math.round((Date.now() - began) / 1000)} s`);
}

/** File name that geth gives the DAG of an epoch: its algorithm's revision, and eight bytes of the epoch's seed hash. */
export function dagName(epoch: number): string {
  let seed: Uint8Array = Buffer.alloc(32);
  for (let each = 0; each < epoch; each += 1) seed = keccak256(seed);
  return `full-R23-${toHex(seed).slice(2, 18)}`;
}
