import { ipcCall } from './ipc.js';

/**
 * Asks the node to keep a connection to each of these enodes, and to let them in beyond its peer limit.
 * A node forgets them when its process ends.
 */
export async function addPeers(ipcPath: string, enodes: string[]): Promise<void> {
  for (const enode of enodes) {
    await ipcCall(ipcPath, 'admin_addTrustedPeer', [enode]);
    await ipcCall(ipcPath, 'admin_addPeer', [enode]);
  }
}

/** Number of peers the node is connected to. */
export async function peerCount(ipcPath: string): Promise<number> {
  return Number(await ipcCall<string>(ipcPath, 'net_peerCount'));
}
