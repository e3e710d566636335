import type { GethBinary } from '../../deploy/geth/binary.js';
import { cliqueGenesis } from '../../deploy/geth/genesis.js';
import { type Member, type NodeSet, startNodeSet } from '../../deploy/geth/node-set.js';
import type { Logger } from '../../deploy/geth/program.js';
import { readSealer } from '../../deploy/geth/sealer.js';
import type { PublicFacts } from '../../deploy/local/provision.js';
import { CHAIN_ID, type ChaosLayout, type NetworkKind } from './layout.js';

/** The supervised nodes of a run: one, or two that are peers. The first is the one that gateway and indexer talk to. */
export interface Nodes {
  /** socket of the first node; stays the same over restarts */
  ipcPath: string;
  genesisHash: string;
  pid(index?: number): number;
  /** SIGKILL; the supervisor starts it again */
  kill(index?: number): void;
  /** keeps the two from seeing each other, or lets them again */
  setApart(apart: boolean): Promise<void>;
  /** ends all, does something to their folders, starts them again as their supervisors do; resolves when they seal */
  restart(how: 'kill' | 'stop', whileDown?: () => Promise<void>): Promise<void>;
  dirs: string[];
  stop(): Promise<void>;
}

export const finalityOf = (kind: NetworkKind): number => (kind === 'instant' ? 1 : 3);

export async function startNodes(options: {
  layout: ChaosLayout;
  kind: NetworkKind;
  facts: PublicFacts;
  geth: GethBinary;
  /** a role that may read the mirror, from which nodes are made whole; without it their own chain is trusted */
  mirrorUrl?: string;
  logger: Logger;
}): Promise<Nodes> {
  const { layout, kind, facts, geth, logger } = options;
  const { hospital } = layout;
  const pair = kind === 'pair';
  const signers = [facts.sealers.local, ...(pair ? [facts.sealers.global] : [])];
  const genesis = cliqueGenesis({ chainId: CHAIN_ID, period: kind === 'instant' ? 0 : 1, signers });
  const dirs = [hospital.nodes.local, ...(pair ? [hospital.nodes.global] : [])];
  let set: NodeSet | undefined;
  const start = async () => {
    const members = await Promise.all(
      dirs.map(
        async (dir, index): Promise<Member> => ({
          ...{ title: `node ${index + 1}`, dir, sealerKey: await readSealer(dir) },
          ...(options.mirrorUrl === undefined ? {} : { mirror: { url: options.mirrorUrl, network: 'local' } }),
          ...(pair ? { p2pPort: layout.ports.peers[index] } : {}),
        }),
      ),
    );
    set = await startNodeSet(members, {
      ...{ geth, genesis, logger },
      supervision: { longestBackoffMs: 500, ...(pair ? { peerIntervalMs: 500 } : {}) },
    });
    try {
      await set.ready();
    } catch (error) {
      await set.stop();
      throw error;
    }
  };
  await start();
  const first = set?.nodes[0]?.current();
  const pid = (index = 0) => set?.nodes[index]?.current()?.pid ?? 0;
  const kill = (index = 0) => {
    if (pid(index) > 0) process.kill(pid(index), 'SIGKILL');
  };
  const stop = async () => set?.stop();
  return {
    ...{ ipcPath: first?.ipcPath ?? '', genesisHash: first?.genesisHash ?? '', pid, dirs, kill, stop },
    restart: async (how, whileDown) => {
      // The supervisor waits a moment before it starts a killed node again: it is told to stop before that.
      if (how === 'kill') for (const index of dirs.keys()) kill(index);
      await stop();
      await whileDown?.();
      await start();
    },
    setApart: async (apart) => set?.setApart(apart),
  };
}
