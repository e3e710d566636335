import { existsSync } from 'node:fs';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { startProcess, stopLeftover } from './child-process.js';
import { GAS_LIMIT } from './genesis.js';
import { ipcCall, ipcPathFor } from './ipc.js';
import type { Logger } from './program.js';

export interface AnvilNode {
  kind: 'anvil';
  ipcPath: string;
  enode: undefined;
  pid: number;
  genesisHash: string;
  ended: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  running(): boolean;
  startSealing(): Promise<void>;
  stop(): Promise<void>;
  kill(): Promise<void>;
}

const require = createRequire(import.meta.url);

/** Path of Anvil's own executable from its npm package; undefined where the platform has none. */
export function findAnvil(): string | undefined {
  const architecture = process.arch === 'x64' ? 'amd64' : process.arch;
  const name = `@foundry-rs/anvil-${process.platform}-${architecture}`;
  try {
    const path = join(require.resolve(`${name}/package.json`), '..', 'bin', 'anvil');
    return existsSync(path) ? path : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Stands in for geth where there is none: one process, instant blocks, no consensus, so for trying things out only.
 * The fixed timestamp keeps the genesis hash over restarts; the state file is written every second, so a crash loses
 * up to a second of blocks, which geth with its archive doesn't.
 * @param period seconds between blocks; 0 seals a block when a transaction arrives
 */
export async function startAnvil(options: {
  dir: string;
  chainId: number;
  period: number;
  logger: Logger;
}): Promise<AnvilNode> {
  const binary = findAnvil();
  if (!binary) throw new Error(`Anvil has no build for ${process.platform}-${process.arch}`);
  const dir = resolve(options.dir);
  await mkdir(dir, { recursive: true, mode: 0o700 });
  const pidFile = join(dir, 'anvil.pid');
  if (await stopLeftover(pidFile, dir)) options.logger.warn(`stopped a node an earlier run left on ${dir}`);
  const timestampFile = join(dir, 'timestamp');
  if (!existsSync(timestampFile)) await writeFile(timestampFile, String(Math.floor(Date.now() / 1000)));
  const ipcPath = ipcPathFor(dir);
  await rm(ipcPath, { force: true });
  const logFile = join(dir, 'anvil.log');
  const child = startProcess({
    command: binary,
    args: [
      ...['--host', '127.0.0.1', '--port', '0', '--ipc', ipcPath],
      ...['--chain-id', String(options.chainId), '--hardfork', 'paris', '--gas-limit', String(GAS_LIMIT)],
      ...['--timestamp', await readFile(timestampFile, 'utf8'), '--accounts', '0'],
      ...['--gas-price', '0', '--base-fee', '0', '--disable-min-priority-fee'],
      ...['--state', join(dir, 'state.json'), '--state-interval', '1', '--preserve-historical-states'],
      ...(options.period > 0 ? ['--block-time', String(options.period)] : []),
      '--silent',
    ],
    logFile,
    pidFile,
  });
  let ended = false;
  void child.ended.then(() => {
    ended = true;
  });
  for (const deadline = Date.now() + 60_000; ; ) {
    try {
      const block = await ipcCall<{ hash: string }>(ipcPath, 'eth_getBlockByNumber', ['0x0', false], 5_000);
      return {
        kind: 'anvil',
        ipcPath,
        enode: undefined,
        pid: child.pid,
        genesisHash: block.hash,
        ended: child.ended,
        running: child.running,
        startSealing: async () => {},
        stop: () => child.stop(),
        kill: () => child.kill(),
      };
    } catch (error) {
      if (ended || Date.now() > deadline) {
        await child.kill();
        const log = await readFile(logFile, 'utf8').catch(() => '');
        throw new Error(`Anvil did not start on ${dir}\n${log.slice(-1_000)}`, { cause: error });
      }
      await new Promise((wake) => setTimeout(wake, 50));
    }
  }
}
