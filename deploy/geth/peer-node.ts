import { ipcCall } from './ipc.js';
import { keyOf } from './peering.js';

/** What must be alike for two nodes to connect, and how the other is reached. */
export interface PeerNode {
  enode: string;
  genesisHash: string;
  /** decimal */
  networkId: string;
}

/** Two nodes are of different chains; the message names both values of what differs. */
export class OtherChainError extends Error {
  override readonly name = 'OtherChainError';
}

/** @throws RpcError when the node doesn't answer, or doesn't offer the administrator's methods */
export async function peerNodeOf(rpc: string): Promise<PeerNode> {
  const [block, networkId, info] = await Promise.all([
    ipcCall<{ hash: string }>(rpc, 'eth_getBlockByNumber', ['0x0', false]),
    ipcCall<string>(rpc, 'net_version'),
    ipcCall<{ enode: string }>(rpc, 'admin_nodeInfo'),
  ]);
  return { enode: info.enode, genesisHash: block.hash, networkId };
}

/**
 * Nodes of different chains shake hands, part, and say nothing of it: so this is asked first.
 * @throws OtherChainError with both values when genesis hash or network id differ
 */
export function requireSameChain(ours: Omit<PeerNode, 'enode'>, theirs: Omit<PeerNode, 'enode'>): void {
  const differences = [
    ...(ours.genesisHash.toLowerCase() === theirs.genesisHash.toLowerCase()
      ? []
      : [`genesis: ours ${ours.genesisHash}, theirs ${theirs.genesisHash}`]),
    ...(ours.networkId === theirs.networkId ? [] : [`network id: ours ${ours.networkId}, theirs ${theirs.networkId}`]),
  ];
  if (differences.length > 0) throw new OtherChainError(`that node is of another chain (${differences.join('; ')})`);
}

export interface ConnectedPeer {
  key: string;
  name: string;
  remoteAddress: string;
}

/** The nodes it is connected to at the moment. */
export async function connectedPeers(ipcPath: string): Promise<ConnectedPeer[]> {
  const peers = await ipcCall<{ enode: string; name: string; network: { remoteAddress: string } }[]>(
    ipcPath,
    'admin_peers',
  );
  return peers.map(({ enode, name, network }) => ({ key: keyOf(enode), name, remoteAddress: network.remoteAddress }));
}
