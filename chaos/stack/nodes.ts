import type { GethBinary } from '../../deploy/geth/binary.js';
import { cliqueGenesis } from '../../deploy/geth/genesis.js';
import { ipcCall } from '../../deploy/geth/ipc.js';
import type { Logger } from '../../deploy/geth/program.js';
import { readSealer } from '../../deploy/geth/sealer.js';
import { type SupervisedNode, superviseNode } from '../../deploy/geth/supervisor.js';
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
  let nodes: SupervisedNode[] = [];
  let apart = false;
  const enodes = () => nodes.flatMap((node) => node.current()?.enode ?? []);
  const start = async () => {
    try {
      for (const [index, dir] of dirs.entries()) {
        const node = await superviseNode({
          ...{ title: `node ${index + 1}`, geth, dir, genesis, networkId: CHAIN_ID, logger, longestBackoffMs: 500 },
          sealerKey: await readSealer(dir),
          ...(options.mirrorUrl === undefined ? {} : { mirror: { url: options.mirrorUrl, network: 'local' } }),
          ...(pair
            ? {
                p2pPort: layout.ports.peers[index],
                maxPeers: 1,
                peerIntervalMs: 500,
                peers: () => (apart ? [] : enodes()),
              }
            : {}),
        });
        nodes.push(node);
      }
      await Promise.all(nodes.map((node) => node.ready));
    } catch (error) {
      await Promise.allSettled(nodes.map((node) => node.stop()));
      throw error;
    }
  };
  await start();
  const first = nodes[0]?.current();
  const pid = (index = 0) => nodes[index]?.current()?.pid ?? 0;
  const kill = (index = 0) => {
    if (pid(index) > 0) process.kill(pid(index), 'SIGKILL');
  };
  const stop = async () => {
    await Promise.all(nodes.map((node) => node.stop()));
  };
  return {
    ...{ ipcPath: first?.ipcPath ?? '', genesisHash: first?.genesisHash ?? '', pid, dirs, kill, stop },
    restart: async (how, whileDown) => {
      // The supervisor waits a moment before it starts a killed node again: it is told to stop before that.
      if (how === 'kill') for (const index of dirs.keys()) kill(index);
      await stop();
      nodes = [];
      await whileDown?.();
      await start();
    },
    setApart: async (now) => {
      apart = now;
      const all = enodes();
      for (const node of nodes) {
        const path = node.current()?.ipcPath;
        if (path === undefined || !now) continue;
        for (const enode of all) {
          await ipcCall(path, 'admin_removeTrustedPeer', [enode]).catch(() => undefined);
          await ipcCall(path, 'admin_removePeer', [enode]).catch(() => undefined);
        }
      }
    },
  };
}
