import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { unlessAborted } from '../geth/abort.js';
import { type AnvilNode, startAnvil } from '../geth/anvil.js';
import type { GethBinary } from '../geth/binary.js';
import { type Deployment, deployLedger } from '../geth/deploy-ledger.js';
import { cliqueGenesis, GAS_LIMIT, type Genesis } from '../geth/genesis.js';
import { ipcCall } from '../geth/ipc.js';
import { type Member, type NodeSet, startNodeSet } from '../geth/node-set.js';
import type { Logger } from '../geth/program.js';
import { readSealer } from '../geth/sealer.js';
import { foundingEntry } from '../hospital-keys.js';
import type { HospitalLayout, StackLayout } from './layout.js';
import { type NetworkEntry, type PublicFacts, peerUrl } from './provision.js';

export interface HospitalChains {
  local: NetworkEntry;
  global: NetworkEntry;
}

export interface Chains {
  kind: 'geth' | 'anvil';
  /** in the order of the layout's hospitals */
  hospitals: HospitalChains[];
  /** pids of the nodes at the moment, for a test that kills one */
  pids(): { title: string; pid: number }[];
  stop(): Promise<void>;
}

export interface HospitalSetup {
  layout: HospitalLayout;
  facts: PublicFacts;
  /** a role that may read the mirror: nodes are made whole from it before they seal */
  mirrorUrl: string;
}

/** A network of its own for each, so that a signed transaction of one means nothing on another. */
const GLOBAL_CHAIN = 410_000;
/** seconds between blocks of the global network */
const GLOBAL_PERIOD = 1;
const localChain = (hospital: HospitalLayout) => GLOBAL_CHAIN + hospital.id;

interface RunningNode {
  title: string;
  rpc: string;
  genesisHash: string;
  pid(): number;
  stop(): Promise<void>;
}

/** Starts every hospital's local and global node and deploys the ledger where it isn't yet. */
export async function startChains(
  layout: StackLayout,
  setups: HospitalSetup[],
  geth: GethBinary | undefined,
  logger: Logger,
  signal?: AbortSignal,
): Promise<Chains> {
  const running: RunningNode[] = [];
  const stop = async () => {
    await Promise.allSettled(running.map((node) => node.stop()));
  };
  try {
    const locals: RunningNode[] = [];
    const globals: RunningNode[] = [];
    const nodes = geth
      ? await startGeth(setups, geth, logger, running, signal)
      : await startAnvils(layout, setups, logger, running);
    locals.push(...nodes.locals);
    globals.push(...nodes.globals);

    const networks: HospitalChains[] = [];
    const global = await ledgerOn({
      file: join(layout.dir, 'global-ledger.json'),
      node: globals[0] as RunningNode,
      chainId: GLOBAL_CHAIN,
      setups,
      tier: 'global',
      logger,
    });
    for (const [index, setup] of setups.entries()) {
      const local = await ledgerOn({
        file: join(setup.layout.dir, 'local-ledger.json'),
        node: locals[index] as RunningNode,
        chainId: localChain(setup.layout),
        setups: [setup],
        tier: 'local',
        logger,
      });
      const shared = { gasLimit: GAS_LIMIT, storeRawBlocks: true };
      const globalNode = globals[index] as RunningNode;
      networks.push({
        local: {
          ...{ name: 'local', chainId: String(localChain(setup.layout)), rpc: locals[index]?.rpc ?? '', ...shared },
          ...{
            contract: local.contract,
            startBlock: String(local.startBlock),
            genesisHash: locals[index]?.genesisHash ?? '',
          },
          ...{ finalityDepth: 1, relayers: [setup.facts.relayers.local] },
        },
        // Raw blocks of the global network too: with two hospitals there is no majority that would still hold the chain.
        global: {
          ...{ name: 'global', chainId: String(GLOBAL_CHAIN), rpc: globalNode.rpc, ...shared },
          ...{ contract: global.contract, startBlock: String(global.startBlock), genesisHash: globalNode.genesisHash },
          ...{
            finalityDepth: geth ? setups.length + 1 : 1,
            period: GLOBAL_PERIOD,
            relayers: [setup.facts.relayers.global],
          },
        },
      });
    }
    const pids = () => running.map((node) => ({ title: node.title, pid: node.pid() }));
    return { kind: geth ? 'geth' : 'anvil', hospitals: networks, pids, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function startGeth(
  setups: HospitalSetup[],
  geth: GethBinary,
  logger: Logger,
  running: RunningNode[],
  signal?: AbortSignal,
): Promise<{ locals: RunningNode[]; globals: RunningNode[] }> {
  const sets: NodeSet[] = [];
  const start = async (tier: 'local' | 'global', genesis: Genesis, of: HospitalSetup[]): Promise<RunningNode[]> => {
    const members = await Promise.all(
      of.map(async ({ layout, mirrorUrl }): Promise<Member> => {
        const dir = layout.nodes[tier];
        return {
          ...{ title: `${layout.title}, ${tier} node`, dir, sealerKey: await readSealer(dir) },
          mirror: { url: mirrorUrl, network: tier },
          ...(tier === 'local' ? {} : { p2pPort: layout.ports.globalPeers }),
        };
      }),
    );
    const set = await startNodeSet(members, { geth, genesis, logger });
    sets.push(set);
    const started = set.nodes.map((node, index) => ({
      ...{ title: members[index]?.title ?? '', rpc: node.current()?.ipcPath ?? '' },
      ...{
        genesisHash: node.current()?.genesisHash ?? '',
        pid: () => node.current()?.pid ?? 0,
        stop: () => node.stop(),
      },
    }));
    running.push(...started);
    return started;
  };
  const locals: RunningNode[] = [];
  for (const setup of setups) {
    const signers = [setup.facts.sealers.local];
    locals.push(
      ...(await start('local', cliqueGenesis({ chainId: localChain(setup.layout), period: 0, signers }), [setup])),
    );
  }
  const signers = setups.map(({ facts }) => facts.sealers.global);
  const globals = await start(
    'global',
    cliqueGenesis({ chainId: GLOBAL_CHAIN, period: GLOBAL_PERIOD, signers }),
    setups,
  );
  await unlessAborted(Promise.all(sets.map((set) => set.ready())), signal);
  return { locals, globals };
}

async function startAnvils(
  layout: StackLayout,
  setups: HospitalSetup[],
  logger: Logger,
  running: RunningNode[],
): Promise<{ locals: RunningNode[]; globals: RunningNode[] }> {
  const start = async (title: string, dir: string, chainId: number, period: number) => {
    const node: AnvilNode = await startAnvil({ dir, chainId, period, logger });
    const one = {
      title,
      rpc: node.ipcPath,
      genesisHash: node.genesisHash,
      pid: () => node.pid,
      stop: () => node.stop(),
    };
    running.push(one);
    return one;
  };
  const global = await start('the global network', join(layout.dir, 'global-anvil'), GLOBAL_CHAIN, GLOBAL_PERIOD);
  const locals: RunningNode[] = [];
  for (const { layout: hospital } of setups) {
    locals.push(
      await start(`${hospital.title}, local node`, join(hospital.dir, 'local-anvil'), localChain(hospital), 0),
    );
  }
  return { locals, globals: setups.map(() => global) };
}

/** The ledger's place on a network, deployed at first start. @throws Error when the network no longer has what was deployed there */
async function ledgerOn(what: {
  file: string;
  node: RunningNode;
  chainId: number;
  setups: HospitalSetup[];
  tier: 'local' | 'global';
  logger: Logger;
}): Promise<{ contract: string; startBlock: string }> {
  const { file, node, tier } = what;
  const known = await readFile(file, 'utf8').catch(() => undefined);
  if (known !== undefined) {
    const ledger = JSON.parse(known);
    if ((await ipcCall<string>(node.rpc, 'eth_getCode', [ledger.contract, 'latest'])) !== '0x') return ledger;
    throw new Error(`${node.title}: the ledger ${ledger.contract} is gone from this chain; start anew with --fresh`);
  }
  const deployed: Deployment = await deployLedger({
    ...{ ipcPath: node.rpc, chainId: what.chainId },
    hospitals: what.setups.map(({ layout, facts }) =>
      foundingEntry({ id: layout.id, peerUrl: peerUrl(layout), keys: facts }, tier),
    ),
    threshold: Math.floor(what.setups.length / 2) + 1,
  });
  what.logger.info(`${node.title}: EmrLedger deployed at ${deployed.contract}`);
  const ledger = { contract: deployed.contract, startBlock: String(deployed.startBlock) };
  await writeFile(`${file}.tmp`, `${JSON.stringify(ledger, null, 2)}\n`);
  await rename(`${file}.tmp`, file);
  return ledger;
}
