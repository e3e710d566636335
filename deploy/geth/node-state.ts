import { ipcCall } from './ipc.js';

/** What a node says of itself. Hashes 0x-hex. */
export interface NodeState {
  genesisHash: string;
  /** decimal */
  networkId: string;
  head: { number: number; hash: string; ageSeconds: number; totalDifficulty: string };
  /** while it fetches a longer chain from its peers; undefined: it knows of none */
  sync: { current: number; highest: number } | undefined;
  sealing: boolean;
  peers: number;
  enode: string;
}

interface Block {
  number: string;
  hash: string;
  timestamp: string;
  totalDifficulty: string;
}

/** @throws RpcError when the node doesn't answer */
export async function nodeState(ipcPath: string): Promise<NodeState> {
  const ask = <T>(method: string, ...params: unknown[]) => ipcCall<T>(ipcPath, method, params, 3_000);
  const [genesis, networkId, head, sync, sealing, peers, info] = await Promise.all([
    ask<Block>('eth_getBlockByNumber', '0x0', false),
    ask<string>('net_version'),
    ask<Block>('eth_getBlockByNumber', 'latest', false),
    ask<false | { currentBlock: string; highestBlock: string }>('eth_syncing'),
    ask<boolean>('eth_mining'),
    ask<string>('net_peerCount'),
    ask<{ enode: string }>('admin_nodeInfo'),
  ]);
  return {
    ...{ genesisHash: genesis.hash, networkId, sealing, peers: Number(peers), enode: info.enode },
    head: {
      ...{ number: Number(head.number), hash: head.hash, totalDifficulty: String(BigInt(head.totalDifficulty)) },
      ageSeconds: Math.max(0, Math.round(Date.now() / 1000) - Number(head.timestamp)),
    },
    sync: sync ? { current: Number(sync.currentBlock), highest: Number(sync.highestBlock) } : undefined,
  };
}

/** Its state of sync in words. */
export const syncOf = ({ sync }: NodeState): string =>
  sync ? `at block ${sync.current} of ${sync.highest}` : 'in step with its peers';
