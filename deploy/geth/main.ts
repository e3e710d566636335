import { mkdir, readdir, readFile, rename, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { readKeystore } from '../../libs/chain-client/src/keys/keystore.js';
import { parseEnv } from '../../libs/platform/src/env.js';
import { findGeth } from './binary.js';
import { type Founding, found, foundingSchema, isFounded } from './founding.js';
import type { Genesis } from './genesis.js';
import { type GethEnv, gethEnv } from './geth.env.js';
import { ipcCall, ipcPathFor } from './ipc.js';
import type { GethNode } from './node.js';
import type { Logger } from './program.js';
import { superviseNode } from './supervisor.js';

/** Runs one supervised node until it is told to stop. `--health`: asks the running one, and ends with 0 when it answers and has the ledger. */
async function main(args: string[]): Promise<number> {
  const env = parseEnv(gethEnv, process.env);
  if (args.includes('--health')) {
    const ipcPath = env.IPC_PATH ?? ipcPathFor(env.NODE_DIR);
    await ipcCall(ipcPath, 'eth_blockNumber', [], 3_000);
    const founding = await readFounding(env);
    // Acts sent to where no ledger stands yet would be mined and do nothing: whoever waits for this node waits for the ledger.
    return founding && !(await isFounded(ipcPath, founding)) ? 1 : 0;
  }
  const line = (level: string) => (msg: string) =>
    process.stdout.write(`${JSON.stringify({ level, name: `geth-${env.NETWORK}`, msg })}\n`);
  const logger: Logger = { info: line('info'), warn: line('warn') };
  const geth = await findGeth({ env: process.env, logger });
  if (!geth) throw new Error('no geth that can seal Clique: set GETH_BIN');
  const genesis: Genesis = JSON.parse(await readFile(env.GENESIS_FILE, 'utf8'));
  const enodeDir = env.ENODE_DIR;
  if (enodeDir) await mkdir(enodeDir, { recursive: true });

  const founding = await readFounding(env);
  const stopping = new AbortController();

  const node = await superviseNode({
    ...{ title: `${env.NETWORK} node`, geth, dir: env.NODE_DIR, genesis, networkId: genesis.config.chainId, logger },
    ...{ sealerKey: await sealerKey(env), ipcPath: env.IPC_PATH, p2pHost: env.P2P_HOST, p2pPort: env.P2P_PORT },
    mirror: env.MIRROR_URL === undefined ? undefined : { url: env.MIRROR_URL, network: env.NETWORK },
    peers: enodeDir === undefined ? undefined : () => enodesIn(enodeDir),
    onSealing: (running) => {
      logger.info(`up: block 0 is ${running.genesisHash}`);
      if (founding) void found(running.ipcPath, founding, stopping.signal);
      if (enodeDir) void announce(running, enodeDir, env).catch((error) => logger.warn(String(error)));
    },
  });
  const signal = await new Promise<string>((resolve) => {
    for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => resolve(name));
    node.ready.catch((error: Error) => {
      logger.warn(error.message);
      resolve('');
    });
  });
  stopping.abort();
  await node.stop();
  return signal === '' ? 1 : 0;
}

async function readFounding({ LEDGER_FILE: file }: GethEnv): Promise<Founding | undefined> {
  return file ? foundingSchema.parse(JSON.parse(await readFile(file, 'utf8'))) : undefined;
}

async function sealerKey(env: GethEnv): Promise<Buffer | undefined> {
  if (!env.SEALER_KEYSTORE_FILE) return undefined;
  if (!env.SEALER_PASSPHRASE_FILE) throw new Error('SEALER_PASSPHRASE_FILE must say how SEALER_KEYSTORE_FILE opens');
  const passphrase = (await readFile(env.SEALER_PASSPHRASE_FILE, 'utf8')).replace(/\r?\n$/, '');
  return readKeystore(env.SEALER_KEYSTORE_FILE, passphrase);
}

/** Puts this node's enode where the others look, under the name they reach it by. */
async function announce(node: GethNode, dir: string, env: GethEnv): Promise<void> {
  if (!node.enode) return;
  const host = env.ENODE_HOST ?? hostname();
  const enode = node.enode.replace(/@[^:]+:(\d+).*$/, `@${host}:$1?discport=0`);
  const file = join(dir, `${host}.enode`);
  await writeFile(`${file}.tmp`, `${enode}\n`);
  await rename(`${file}.tmp`, file);
}

async function enodesIn(dir: string): Promise<string[]> {
  const names = (await readdir(dir)).filter((name) => name.endsWith('.enode'));
  return Promise.all(names.map(async (name) => (await readFile(join(dir, name), 'utf8')).trim()));
}

main(process.argv.slice(2)).then(
  (code) => process.exit(code),
  (error: unknown) => {
    console.error(error);
    process.exit(1);
  },
);
