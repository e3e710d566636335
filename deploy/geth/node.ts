import { existsSync } from 'node:fs';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { type GethBinary } from './binary.js';
import { startProcess, stopLeftover } from './child-process.js';
import { consensusOf, type Genesis } from './genesis.js';
import { ipcCall, ipcPathFor } from './ipc.js';
import { type Logger, run } from './program.js';
import { RELEASES } from './releases.js';
import { importSealer, passwordFile } from './sealer.js';

/** How a node mines (proof of work). It holds no key: what it earns belongs to whoever has `etherbase`'s. */
export interface MinerOptions {
  /** 0x address that each block's reward goes to */
  etherbase: string;
  threads: number;
  /** folder of the DAGs (`ensureDags`), shared by all miners */
  dagDir: string;
}

export interface NodeOptions {
  geth: GethBinary;
  /** the node's own folder: chain, keystore, socket, log */
  dir: string;
  genesis: Genesis;
  networkId: number;
  /** 32-byte private key that seals; imported into the node's keystore at first start. Without it the node only follows. */
  sealerKey?: Buffer;
  /** mines a proof-of-work chain */
  miner?: MinerOptions;
  /** whether to seal (or mine) from the first moment; false: `startSealing()` later, once the chain is known to be whole */
  bootMine: boolean;
  /** TCP port for peers; without it the node listens for none */
  p2pPort?: number;
  /** address the peer port binds to; 127.0.0.1 unless told */
  p2pHost?: string;
  /**
   * How many other nodes the network has, as far as known (50 unless told). Below five peers geth waits up to ten seconds
   * before it catches up, unless it can't have more than these. Every peer is a trusted one (peering.ts), so the limit
   * turns away nobody.
   */
  maxPeers?: number;
  /** where the socket is, if not in `dir`: a folder that is shared with the gateway, while the keystore is not */
  ipcPath?: string;
  logger: Logger;
}

export interface GethNode {
  kind: 'geth';
  ipcPath: string;
  /** what a peer passes to admin_addPeer; undefined for a node that listens for no peers */
  enode: string | undefined;
  pid: number;
  genesisHash: string;
  ended: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  running(): boolean;
  startSealing(): Promise<void>;
  stop(): Promise<void>;
  kill(): Promise<void>;
}

/**
 * Starts geth on `dir` and waits until it answers over IPC. Its own HTTP and WebSocket stay off: whoever reached such a port could sign
 * with the unlocked key (rpc-gate.ts offers one that can't).
 * @throws Error when it ends or doesn't answer, with the last lines of its log; when `dir` holds another chain
 */
export async function startNode(options: NodeOptions): Promise<GethNode> {
  const wanted = RELEASES[consensusOf(options.genesis)];
  if (!wanted.serves(options.geth.version)) throw new Error(`geth ${options.geth.version} can't ${wanted.purpose}`);
  const dir = resolve(options.dir);
  await mkdir(dir, { recursive: true, mode: 0o700 });
  if (await stopLeftover(pidFile(dir), dir)) options.logger.warn(`stopped a node an earlier run left on ${dir}`);
  await initialise(options.geth, dir, options.genesis);
  const sealer = options.sealerKey ? await importSealer(dir, options.sealerKey) : undefined;
  const ipcPath = options.ipcPath ?? ipcPathFor(dir);
  await rm(ipcPath, { force: true });

  const logFile = join(dir, 'geth.log');
  const child = startProcess({
    command: options.geth.path,
    args: await gethArguments(options, dir, ipcPath, sealer),
    logFile,
    pidFile: pidFile(dir),
  });
  try {
    const genesisHash = await answering(ipcPath, child.ended);
    // The flag takes no 0: geth makes it a gwei, and what a peer passes on at price 0 is dropped.
    await ipcCall(ipcPath, 'miner_setGasPrice', ['0x0']);
    const info = await ipcCall<{ enode: string }>(ipcPath, 'admin_nodeInfo');
    return {
      kind: 'geth',
      ipcPath,
      enode: options.p2pPort === undefined ? undefined : info.enode,
      pid: child.pid,
      genesisHash,
      ended: child.ended,
      running: child.running,
      startSealing: async () => {
        if (!sealer && !options.miner) throw new Error(`the node on ${dir} has neither a sealer key nor is it a miner`);
        // The socket answers before the key is unlocked; a first block that can't be signed would not be tried again.
        if (sealer) await unlocked(ipcPath, sealer);
        await ipcCall(ipcPath, 'miner_start', options.miner ? [options.miner.threads] : []);
        // It starts beside the call; while it catches up with a peer it waits for that.
        for (const deadline = Date.now() + 30_000; !(await ipcCall<boolean>(ipcPath, 'eth_mining')); ) {
          if (Date.now() > deadline) throw new Error(`the node on ${dir} did not start sealing`);
          await new Promise((wake) => setTimeout(wake, 20));
        }
      },
      stop: () => child.stop(),
      kill: () => child.kill(),
    };
  } catch (error) {
    await child.kill();
    throw new Error(`geth on ${dir} did not start: ${(error as Error).message}\n${await lastLines(logFile)}`, {
      cause: error,
    });
  }
}

/** Writes the genesis block once. @throws Error when the folder already holds a chain with another genesis */
export async function initialise(geth: GethBinary, dir: string, genesis: Genesis): Promise<void> {
  const file = join(dir, 'genesis.json');
  const text = `${JSON.stringify(genesis, null, 2)}\n`;
  const marker = join(dir, 'initialised');
  if (existsSync(marker) && existsSync(join(dir, 'geth', 'chaindata'))) {
    if (!isDeepStrictEqual(JSON.parse(await readFile(file, 'utf8')), JSON.parse(text)))
      throw new Error(`${dir} holds a chain with another genesis`);
    return;
  }
  await mkdir(dir, { recursive: true, mode: 0o700 });
  await writeFile(file, text);
  const result = await run(geth.path, ['--datadir', dir, '--verbosity', '2', 'init', file], { timeoutMs: 60_000 });
  if (result.code !== 0) throw new Error(`geth init failed on ${dir}:\n${result.output.slice(-2_000)}`);
  await writeFile(marker, '');
}

/** Imports a file of RLP-encoded blocks, one after the other, into a stopped node. @throws Error with geth's words */
export async function importBlocks(geth: GethBinary, dir: string, file: string): Promise<void> {
  const result = await run(
    geth.path,
    [
      '--datadir',
      resolve(dir),
      '--gcmode',
      'archive',
      '--syncmode',
      'full',
      '--txlookuplimit',
      '0',
      '--verbosity',
      '2',
      'import',
      file,
    ],
    { timeoutMs: 30 * 60_000 },
  );
  if (result.code !== 0) throw new Error(`geth import failed on ${dir}:\n${result.output.slice(-2_000)}`);
}

async function gethArguments(options: NodeOptions, dir: string, ipcPath: string, sealer?: string): Promise<string[]> {
  const config = join(dir, 'geth.toml');
  // Only the file can say which address the peer port binds to; the flag takes a port alone and means every interface.
  const listen = options.p2pPort === undefined ? '' : `${options.p2pHost ?? '127.0.0.1'}:${options.p2pPort}`;
  await writeFile(config, `[Node.P2P]\nListenAddr = ${JSON.stringify(listen)}\nNoDiscovery = true\nDialRatio = 1\n`);
  return [
    ...['--config', config, '--datadir', dir, '--ipcpath', ipcPath, '--networkid', String(options.networkId)],
    // archive: each block's state is on disk before the next, so a killed node comes back with its head
    ...['--gcmode', 'archive', '--syncmode', 'full', '--txlookuplimit', '0', '--cache', '256'],
    ...['--nodiscover', '--maxpeers', String(options.p2pPort === undefined ? 0 : (options.maxPeers ?? 50))],
    ...['--nat', options.p2pHost && options.p2pHost !== '127.0.0.1' ? 'none' : 'extip:127.0.0.1'],
    // the engine port can't be turned off: any free one, loopback, behind its own secret
    ...['--authrpc.addr', '127.0.0.1', '--authrpc.port', '0', '--authrpc.jwtsecret', join(dir, 'engine.secret')],
    // the default limit pulls the genesis limit down block by block
    ...['--miner.gaslimit', String(Number(options.genesis.gasLimit))],
    // room for one relayer with everything in flight; the defaults drop a burst
    ...['--txpool.accountslots', '8192', '--txpool.globalslots', '32768'],
    ...['--txpool.accountqueue', '8192', '--txpool.globalqueue', '32768', '--txpool.lifetime', '24h'],
    ...(options.geth.version.startsWith('1.13.')
      ? ['--rpc.batch-request-limit', '10000', '--rpc.batch-response-max-size', '250000000']
      : []),
    ...['--verbosity', '2'], // at 3 a busy local network logs gigabytes a day
    ...(sealer ? ['--unlock', sealer, '--password', passwordFile(dir), '--miner.etherbase', sealer] : []),
    ...(options.miner ? minerArguments(options.miner) : []),
    ...((sealer || options.miner) && options.bootMine ? ['--mine'] : []),
  ];
}

function minerArguments({ etherbase, threads, dagDir }: MinerOptions): string[] {
  return [
    ...['--miner.etherbase', etherbase, '--miner.threads', String(threads)],
    // Two on disk, or making the second epoch's would remove the first's.
    ...['--ethash.dagdir', dagDir, '--ethash.dagsondisk', '2', '--ethash.dagsinmem', '1'],
  ];
}

/** Waits until the node can sign with the sealer's key. @throws Error with the node's reason */
async function unlocked(ipcPath: string, sealer: string): Promise<void> {
  for (const deadline = Date.now() + 30_000; ; ) {
    try {
      await ipcCall(ipcPath, 'eth_sign', [sealer, '0x00']);
      return;
    } catch (error) {
      if (Date.now() > deadline) throw error;
      await new Promise((wake) => setTimeout(wake, 20));
    }
  }
}

/** Waits for the node's first answer. @returns hash of block 0 */
async function answering(ipcPath: string, ended: Promise<{ code: number | null }>): Promise<string> {
  let end: { code: number | null } | undefined;
  void ended.then((value) => {
    end = value;
  });
  for (const deadline = Date.now() + 60_000; Date.now() < deadline; ) {
    if (end) throw new Error(`it ended with code ${end.code}`);
    try {
      const block = await ipcCall<{ hash: string }>(ipcPath, 'eth_getBlockByNumber', ['0x0', false], 5_000);
      return block.hash;
    } catch {
      await new Promise((wake) => setTimeout(wake, 50));
    }
  }
  throw new Error('no answer over IPC in 60 s');
}

const pidFile = (dir: string) => join(dir, 'geth.pid');

async function lastLines(file: string): Promise<string> {
  const text = await readFile(file, 'utf8').catch(() => '');
  return text.split('\n').slice(-12).join('\n');
}
