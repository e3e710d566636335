import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { computeAddress } from 'ethers';
import { type AnvilNode, startAnvil } from '../../deploy/geth/anvil.js';
import { findGeth, type GethBinary } from '../../deploy/geth/binary.js';
import { tieProcessesToUs } from '../../deploy/geth/child-process.js';
import { deployLedger } from '../../deploy/geth/deploy-ledger.js';
import { cliqueGenesis } from '../../deploy/geth/genesis.js';
import { type GethNode, startNode } from '../../deploy/geth/node.js';
import { addPeers, peerCount } from '../../deploy/geth/peering.js';
import type { Logger } from '../../deploy/geth/program.js';
import type { HospitalEntry } from '../../libs/contracts/src/deployment.js';
import { fromHex } from '../../libs/platform/src/bytes.js';

/** A hospital on the test chain, with all its keys (32 bytes each). */
export interface TestHospital {
  id: number;
  relayerKeys: Buffer[];
  registrarKey: Buffer;
  entry: HospitalEntry;
}

/** One network with a deployed EmrLedger, for integration tests. */
export interface TestChain {
  kind: 'geth' | 'anvil';
  /** path of the node's socket */
  rpcUrl: string;
  chainId: number;
  /** 0x address of EmrLedger */
  contract: string;
  genesisHash: string;
  startBlock: bigint;
  /** of hospital 1 */
  relayerKeys: Buffer[];
  /** of hospital 1 */
  registrarKey: Buffer;
  hospitals: TestHospital[];
  /** the node's folder */
  dir: string;
  node: GethNode | AnvilNode;
  /** SIGKILL; the chain's files stay */
  kill(): Promise<void>;
  /** the same chain again, on the same socket */
  restart(options?: { bootMine?: boolean }): Promise<void>;
  /** ends the node and removes its files */
  stop(): Promise<void>;
}

tieProcessesToUs();

const quiet: Logger = { info: () => {}, warn: () => {} };
const addressOf = (key: Buffer) => computeAddress(`0x${key.toString('hex')}`).toLowerCase();

/** A hospital with fresh random keys. */
export function testHospital(id: number, relayers = 1): TestHospital {
  const relayerKeys = Array.from({ length: relayers }, () => randomBytes(32));
  const registrarKey = randomBytes(32);
  return {
    id,
    relayerKeys,
    registrarKey,
    entry: {
      id,
      registrar: fromHex(addressOf(registrarKey)),
      relayers: relayerKeys.map((key) => fromHex(addressOf(key))),
      identityKey: randomBytes(32),
      transferKey: randomBytes(32),
      transferKeyId: 1,
      endpointHash: randomBytes(32),
    },
  };
}

/** The geth the tests use, never built by them; undefined: Anvil stands in. */
export function testGeth(): Promise<GethBinary | undefined> {
  return findGeth({ env: process.env, logger: quiet, build: false });
}

/**
 * Starts a network of one sealing node (Clique, geth; Anvil where no geth is found) and deploys EmrLedger.
 * @param hospitals how many hospitals found the ledger (ids from 1); or hospitals made by `testHospital`
 * @param period seconds between blocks; 0: a block when a transaction arrives
 * @param funded the relayers have an ether each: what isn't free can be paid
 * @param londonBlock from this block on transactions cost a base fee (EIP-1559)
 */
export async function startTestChain(
  options: {
    hospitals?: number | TestHospital[];
    relayers?: number;
    period?: number;
    chainId?: number;
    funded?: boolean;
    londonBlock?: number;
  } = {},
): Promise<TestChain> {
  const hospitals = foundingHospitals(options.hospitals, options.relayers);
  const chainId = options.chainId ?? 710_001;
  const period = options.period ?? 0;
  const dir = await mkdtemp(join(tmpdir(), 'emr-chain-'));
  const geth = await testGeth();
  const sealerKey = randomBytes(32);
  const genesis = cliqueGenesis({ chainId, period, signers: [addressOf(sealerKey)] });
  if (options.londonBlock !== undefined) genesis.config.londonBlock = options.londonBlock;
  if (options.funded) {
    const relayers = hospitals.flatMap(({ relayerKeys }) => relayerKeys.map(addressOf));
    genesis.alloc = Object.fromEntries(relayers.map((address) => [address, { balance: '0xde0b6b3a7640000' }]));
  }
  const start = (bootMine: boolean) =>
    geth
      ? startNode({ geth, dir, genesis, networkId: chainId, sealerKey, bootMine, logger: quiet })
      : startAnvil({ dir, chainId, period, logger: quiet });
  const node = await start(true);
  try {
    return await withLedger({ node, chainId, dir, hospitals, start });
  } catch (error) {
    await node.kill();
    await rm(dir, { recursive: true, force: true });
    throw error;
  }
}

/**
 * Starts a global network of two sealing nodes, joined as peers, EmrLedger deployed by hospitals 1 and 2. The two chains
 * returned are one network seen through two nodes. Needs geth.
 * @throws Error where no geth is found
 */
export async function startGlobalPair(
  options: { period?: number; chainId?: number; hospitals?: TestHospital[] } = {},
): Promise<[TestChain, TestChain]> {
  const geth = await testGeth();
  if (!geth) throw new Error('a pair of peered nodes needs geth');
  const hospitals = foundingHospitals(options.hospitals ?? 2);
  const chainId = options.chainId ?? 710_002;
  const sealers = [randomBytes(32), randomBytes(32)];
  const genesis = cliqueGenesis({ chainId, period: options.period ?? 1, signers: sealers.map(addressOf) });
  const dirs = await Promise.all([mkdtemp(join(tmpdir(), 'emr-chain-')), mkdtemp(join(tmpdir(), 'emr-chain-'))]);
  const start = (index: 0 | 1) => async (bootMine: boolean) => {
    const sealerKey = sealers[index] as Buffer;
    const dir = dirs[index] as string;
    return startNode({
      geth,
      dir,
      genesis,
      networkId: chainId,
      sealerKey,
      bootMine,
      p2pPort: 0,
      maxPeers: 1,
      logger: quiet,
    });
  };
  const nodes: GethNode[] = [];
  try {
    // They seal first and meet then (see the supervisor): a block sent to a node that doesn't seal yet would be lost.
    nodes.push(await start(0)(true), await start(1)(true));
    const [a, b] = nodes as [GethNode, GethNode];
    await connectPair(a, b);
    const first = await withLedger({ node: a, chainId, dir: dirs[0], hospitals, start: start(0) });
    const second = await seenThrough(first, b, dirs[1], start(1));
    const join = async () => connectPair(first.node as GethNode, second.node as GethNode);
    const [restartFirst, restartSecond] = [first.restart, second.restart];
    first.restart = async (how) => restartFirst(how).then(join);
    second.restart = async (how) => restartSecond(how).then(join);
    return [first, second];
  } catch (error) {
    await Promise.all(nodes.map((node) => node.kill()));
    await Promise.all(dirs.map((dir) => rm(dir, { recursive: true, force: true })));
    throw error;
  }
}

async function connectPair(a: GethNode, b: GethNode): Promise<void> {
  for (const deadline = Date.now() + 30_000; Date.now() < deadline; ) {
    await Promise.all([addPeers(a.ipcPath, [b.enode ?? '']), addPeers(b.ipcPath, [a.enode ?? ''])]);
    if ((await peerCount(a.ipcPath)) > 0 && (await peerCount(b.ipcPath)) > 0) return;
    await new Promise((wake) => setTimeout(wake, 200));
  }
  throw new Error('the two nodes did not become peers in 30 s');
}

function foundingHospitals(given: number | TestHospital[] = 1, relayers = 1): TestHospital[] {
  return typeof given === 'number' ? Array.from({ length: given }, (_, i) => testHospital(i + 1, relayers)) : given;
}

type Start = (bootMine: boolean) => Promise<GethNode | AnvilNode>;

async function withLedger(made: {
  node: GethNode | AnvilNode;
  chainId: number;
  dir: string;
  hospitals: TestHospital[];
  start: Start;
}): Promise<TestChain> {
  const [first] = made.hospitals as [TestHospital];
  const ledger = await deployLedger({
    ipcPath: made.node.ipcPath,
    chainId: made.chainId,
    deployerKey: first.relayerKeys[0] as Buffer,
    hospitals: made.hospitals.map((hospital) => hospital.entry),
    threshold: Math.floor(made.hospitals.length / 2) + 1,
  });
  const facts = {
    chainId: made.chainId,
    genesisHash: made.node.genesisHash,
    contract: ledger.contract,
    startBlock: ledger.startBlock,
    relayerKeys: first.relayerKeys,
    registrarKey: first.registrarKey,
    hospitals: made.hospitals,
  };
  return handle(facts, made.node, made.dir, made.start);
}

async function seenThrough(chain: TestChain, node: GethNode, dir: string, start: Start): Promise<TestChain> {
  const { chainId, genesisHash, contract, startBlock, relayerKeys, registrarKey, hospitals } = chain;
  return handle({ chainId, genesisHash, contract, startBlock, relayerKeys, registrarKey, hospitals }, node, dir, start);
}

type Facts = Pick<
  TestChain,
  'chainId' | 'genesisHash' | 'contract' | 'startBlock' | 'relayerKeys' | 'registrarKey' | 'hospitals'
>;

function handle(facts: Facts, node: GethNode | AnvilNode, dir: string, start: Start): TestChain {
  const chain: TestChain = {
    ...facts,
    kind: node.kind,
    rpcUrl: node.ipcPath,
    dir,
    node,
    kill: () => chain.node.kill(),
    restart: async (how = {}) => {
      await chain.node.stop();
      chain.node = await start(how.bootMine ?? true);
    },
    stop: async () => {
      await chain.node.stop();
      await rm(dir, { recursive: true, force: true });
    },
  };
  return chain;
}
