import { randomBytes } from 'node:crypto';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { addressOf, newKey } from '../../libs/chain-client/src/keys/secp256k1.js';
import { toHex } from '../../libs/platform/src/bytes.js';
import { unlessAborted } from './abort.js';
import { findGeth, type GethBinary } from './binary.js';
import { stopLeftover } from './child-process.js';
import { dagDirectory, ensureDags } from './dag.js';
import { type Alloc, cliqueGenesis, GAS_LIMIT, type Genesis, LEAST_DIFFICULTY, powGenesis } from './genesis.js';
import { readKeptPeers } from './kept-peers.js';
import { type Member, type NodeSet, startNodeSet } from './node-set.js';
import { isFree } from './ports.js';
import { takeLock } from './process-lock.js';
import type { Logger } from './program.js';
import { openRpcGate, type RpcGate } from './rpc-gate.js';
import { importSealer, readSealer } from './sealer.js';
import type { SupervisedNode } from './supervisor.js';

const address = z.string().regex(/^0x[0-9a-f]{40}$/);

/** What a network is, kept in network.json of its folder: a later start goes on with it. */
const planSchema = z.strictObject({
  consensus: z.enum(['clique', 'pow']),
  chainId: z.int().min(1),
  /** Clique: seconds between blocks; 0: a block when a transaction arrives. */
  period: z.int().min(0).optional(),
  /** Proof of work: expected hashes of the first blocks. */
  difficulty: z.int().min(LEAST_DIFFICULTY).optional(),
  gasLimit: z.int(),
  alloc: z.record(z.string(), z.strictObject({ balance: z.string() })),
  /** Of each node: what seals (Clique) or is paid (proof of work). */
  sealers: z.array(address).min(1),
});
export type NetworkPlan = z.output<typeof planSchema>;

export type NetworkShape = Partial<Pick<NetworkPlan, 'period' | 'difficulty' | 'gasLimit'>> &
  Pick<NetworkPlan, 'consensus' | 'chainId'> & {
    /** nodes, each of which seals or mines */
    nodes: number;
    alloc?: Alloc;
  };

export interface NetworkOptions {
  /** folder of the whole network; a node's own is below it */
  dir: string;
  /** Left out: the one in `dir`. */
  shape?: NetworkShape;
  /** port of the first node's peers, then that of its RPC, then the second's: two a node. Left out: free ones */
  basePort?: number;
  logger: Logger;
  env?: NodeJS.ProcessEnv;
  /** mining threads of each node (default 1) */
  threads?: number;
  /** whether the nodes start without knowing each other */
  apart?: boolean;
  signal?: AbortSignal;
}

export interface NetworkNode {
  title: string;
  dir: string;
  ipcPath: string;
  /** JSON-RPC on 127.0.0.1 for programs that can't use the socket: questions and signed bytes only */
  httpUrl: string;
  wsUrl: string;
  /** what seals its blocks or is paid for them */
  sealer: string;
  supervised: SupervisedNode;
}

export interface RunningNetwork {
  plan: NetworkPlan;
  genesis: Genesis;
  genesisHash: string;
  geth: GethBinary;
  nodes: NetworkNode[];
  /** to be taken away and added again */
  set: NodeSet;
  members: Member[];
  /** ends the nodes; the folder stays, and can be started again */
  stop(): Promise<void>;
}

export const PORTS_PER_NODE = 2;
export const nodeDirectory = (dir: string, number: number) => join(dir, `node-${number}`);
const planFile = (dir: string) => join(dir, 'network.json');

/**
 * Starts a network of so many nodes of one consensus on this machine, makes its keys and genesis at the first time, and waits until
 * every node seals or mines. For proof of work the DAGs are made first where they are missing, which takes minutes.
 *
 * @example
 * const network = await startNetwork({ dir, shape: { consensus: 'pow', chainId: 81, nodes: 2, difficulty: 262_144 }, logger });
 * network.nodes.map(({ wsUrl }) => wsUrl);
 * @throws Error when the folder holds another network, is in use, a port is taken, or there is no fitting geth
 */
export async function startNetwork(options: NetworkOptions): Promise<RunningNetwork> {
  const { logger, signal, env = process.env } = options;
  const dir = resolve(options.dir);
  await mkdir(dir, { recursive: true, mode: 0o700 });
  const lock = takeLock(lockFile(dir));
  if (lock.holder !== undefined) throw new Error(`process ${lock.holder} runs the network in ${dir} already`);
  const gates: RpcGate[] = [];
  let set: NodeSet | undefined;
  const stop = async () => {
    await Promise.all(gates.map((gate) => gate.close()));
    await set?.stop();
    lock.release();
  };
  try {
    const plan = await planOf(dir, options.shape);
    const { consensus } = plan;
    await stopLeftNodes(dir);
    if (options.basePort !== undefined) await requirePorts(options.basePort, plan.sealers.length * PORTS_PER_NODE);
    const geth = await findGeth({ env, logger, ...(signal ? { signal } : {}) }, consensus);
    if (!geth) {
      const variable = consensus === 'pow' ? 'GETH_POW_BIN' : 'GETH_BIN';
      throw new Error(`no geth for ${consensus}: set ${variable}, or install Go so that one can be built`);
    }
    const dagDir = dagDirectory(env);
    if (consensus === 'pow') await ensureDags(geth, dagDir, logger, signal);
    const genesis = genesisOf(plan);
    const several = plan.sealers.length > 1;
    const members = await Promise.all(
      plan.sealers.map(async (sealer, index): Promise<Member> => {
        const own = nodeDirectory(dir, index + 1);
        return {
          ...{ title: `node ${index + 1}`, dir: own },
          p2pPort: options.basePort === undefined ? 0 : options.basePort + PORTS_PER_NODE * index,
          ...(consensus === 'clique'
            ? { sealerKey: await readSealer(own) }
            : { miner: { etherbase: sealer, threads: options.threads ?? 1, dagDir } }),
        };
      }),
    );
    set = await startNodeSet(members, {
      ...{ geth, genesis, logger, apart: options.apart ?? false, strangers: readKeptPeers },
      supervision: { peerIntervalMs: several ? 1_000 : 5_000 },
    });
    await unlessAborted(set.ready(), signal);
    const nodes: NetworkNode[] = [];
    for (const [index, supervised] of set.nodes.entries()) {
      const { title, dir: own } = members[index] as Member;
      const ipcPath = supervised.current()?.ipcPath ?? '';
      const port = options.basePort === undefined ? 0 : options.basePort + PORTS_PER_NODE * index + 1;
      const gate = await openRpcGate(ipcPath, port);
      gates.push(gate);
      const { httpUrl, wsUrl } = gate;
      nodes.push({ title, dir: own, ipcPath, httpUrl, wsUrl, sealer: plan.sealers[index] ?? '', supervised });
    }
    const genesisHash = set.nodes[0]?.current()?.genesisHash ?? '';
    return { plan, genesis, genesisHash, geth, nodes, set, members, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

export const lockFile = (dir: string) => join(resolve(dir), 'network.lock');

/** @returns the plan kept in `dir`; undefined where no network is */
export async function readPlan(dir: string): Promise<NetworkPlan | undefined> {
  const text = await readFile(planFile(dir), 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  return text === undefined ? undefined : planSchema.parse(JSON.parse(text));
}

/** Ends nodes whose supervisor was killed. @returns how many there were */
export async function stopLeftNodes(dir: string): Promise<number> {
  const nodes = (await readPlan(dir))?.sealers ?? [];
  const folders = nodes.map((_, index) => nodeDirectory(resolve(dir), index + 1));
  const stopped = await Promise.all(folders.map((own) => stopLeftover(join(own, 'geth.pid'), own)));
  return stopped.filter(Boolean).length;
}

export function genesisOf(plan: NetworkPlan): Genesis {
  const { chainId, gasLimit, alloc } = plan;
  return plan.consensus === 'clique'
    ? cliqueGenesis({ chainId, gasLimit, alloc, period: plan.period ?? 1, signers: plan.sealers })
    : powGenesis({ chainId, gasLimit, alloc, difficulty: plan.difficulty ?? LEAST_DIFFICULTY });
}

/** The kept plan, or a new one with new keys. @throws Error when there is neither, or the two differ */
async function planOf(dir: string, shape: NetworkShape | undefined): Promise<NetworkPlan> {
  const kept = await readPlan(dir);
  if (kept === undefined) {
    if (shape === undefined) throw new Error(`there is no network in ${dir} yet`);
    return makePlan(dir, shape);
  }
  if (shape === undefined) return kept;
  const { sealers, ...rest } = kept;
  const { nodes, ...wanted } = complete(shape);
  if (nodes !== sealers.length || !isDeepStrictEqual(rest, wanted)) {
    const told = (plan: object, count: number) => JSON.stringify({ ...plan, nodes: count });
    throw new Error(
      `${dir} holds another network: ${told(rest, sealers.length)}, not ${told(wanted, nodes)}; use another folder, or remove it`,
    );
  }
  return kept;
}

function complete(shape: NetworkShape) {
  const { consensus, chainId, nodes, gasLimit = GAS_LIMIT, alloc = {} } = shape;
  const own =
    consensus === 'clique' ? { period: shape.period ?? 1 } : { difficulty: shape.difficulty ?? LEAST_DIFFICULTY };
  return { consensus, chainId, ...own, gasLimit, alloc, nodes };
}

async function makePlan(dir: string, shape: NetworkShape): Promise<NetworkPlan> {
  const { nodes, ...rest } = complete(shape);
  const sealers: string[] = [];
  for (let number = 1; number <= nodes; number += 1) {
    // A miner's earnings are worth nothing: an address nobody has the key of.
    if (shape.consensus === 'pow') sealers.push(toHex(randomBytes(20)));
    else {
      const own = nodeDirectory(dir, number);
      // A start that was killed here has left some.
      const key = await readSealer(own).catch(newKey);
      await importSealer(own, key);
      sealers.push(toHex(addressOf(key)));
    }
  }
  const plan = planSchema.parse({ ...rest, sealers });
  genesisOf(plan); // says what is out of range
  const file = planFile(dir);
  await writeFile(`${file}.tmp`, `${JSON.stringify(plan, null, 2)}\n`);
  await rename(`${file}.tmp`, file);
  return plan;
}

/** @throws Error naming those that another program has */
async function requirePorts(first: number, count: number): Promise<void> {
  const ports = Array.from({ length: count }, (_, index) => first + index);
  const free = await Promise.all(ports.map(isFree));
  const taken = ports.filter((_, index) => !free[index]);
  if (taken.length === 0) return;
  throw new Error(`ports ${taken.join(', ')} of 127.0.0.1 are taken by another program; choose others with --ports`);
}
