import type { GethBinary } from './binary.js';
import type { Genesis } from './genesis.js';
import { ipcCall } from './ipc.js';
import type { Logger } from './program.js';
import { type SupervisedNode, type SupervisorOptions, superviseNode } from './supervisor.js';

/** One node of a set: what is its own. */
export type Member = Pick<
  SupervisorOptions,
  'title' | 'dir' | 'sealerKey' | 'miner' | 'mirror' | 'p2pPort' | 'ipcPath' | 'onSealing'
>;

export interface NodeSetOptions {
  geth: GethBinary;
  genesis: Genesis;
  logger: Logger;
  /** whether the nodes start without knowing each other (default: they are peers) */
  apart?: boolean;
  /** enodes of nodes that are not of this set, asked again and again */
  strangers?: (dir: string) => Promise<string[]>;
  /** of each node's supervisor */
  supervision?: Pick<SupervisorOptions, 'peerIntervalMs' | 'longestBackoffMs' | 'lockFolder'>;
}

/** Supervised nodes of one network on this machine, peers of each other. */
export interface NodeSet {
  /** in the order they were added; one that was removed is gone from it */
  nodes: readonly SupervisedNode[];
  /** starts one more, and makes it a peer of the others */
  add(member: Member): Promise<SupervisedNode>;
  /** stops one for good; the others forget it */
  remove(node: SupervisedNode): Promise<void>;
  /** resolves when every node seals, mines or follows */
  ready(): Promise<void>;
  /** keeps the nodes from seeing each other, or lets them meet again */
  setApart(apart: boolean): Promise<void>;
  stop(): Promise<void>;
}

/**
 * Starts a set of nodes, each under a supervisor of its own: what `npm start`, `npm run geth -- up`, chaos and tests have in common.
 * Nodes without `p2pPort` listen for no peers and have none. Resolves when all sockets answer; `ready` tells when they seal.
 * @throws Error of the first that can't start; the others are then stopped
 */
export async function startNodeSet(members: Member[], options: NodeSetOptions): Promise<NodeSet> {
  const { genesis, strangers, supervision } = options;
  const nodes: SupervisedNode[] = [];
  let apart = options.apart ?? false;
  const enodes = () => nodes.flatMap((node) => node.current()?.enode ?? []);

  const set: NodeSet = {
    nodes,
    async add(member) {
      const others = Math.max(members.length - 1, nodes.length);
      const node = await superviseNode({
        ...{ geth: options.geth, genesis, networkId: genesis.config.chainId, logger: options.logger },
        ...member,
        ...supervision,
        ...(member.p2pPort === undefined
          ? {}
          : {
              maxPeers: Math.max(others, 1),
              peers: async () => [...(apart ? [] : enodes()), ...((await strangers?.(member.dir)) ?? [])],
            }),
      });
      nodes.push(node);
      return node;
    },
    async remove(node) {
      const enode = node.current()?.enode;
      nodes.splice(nodes.indexOf(node), 1);
      await node.stop();
      if (enode) await forget(nodes, [enode]);
    },
    ready: async () => void (await Promise.all(nodes.map((node) => node.ready))),
    async setApart(now) {
      apart = now;
      if (now) await forget(nodes, enodes());
    },
    stop: async () => void (await Promise.all(nodes.map((node) => node.stop()))),
  };
  try {
    for (const member of members) await set.add(member);
  } catch (error) {
    await Promise.allSettled(nodes.map((node) => node.stop()));
    throw error;
  }
  return set;
}

/** Has each node drop and no longer dial these. */
async function forget(nodes: readonly SupervisedNode[], enodes: string[]): Promise<void> {
  for (const node of nodes) {
    const path = node.current()?.ipcPath;
    if (path === undefined) continue;
    for (const enode of enodes) {
      await ipcCall(path, 'admin_removeTrustedPeer', [enode]).catch(() => undefined);
      await ipcCall(path, 'admin_removePeer', [enode]).catch(() => undefined);
    }
  }
}
