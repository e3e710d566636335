import { ipcCall } from './ipc.js';

const FIRST_DIAL_MS = 2_000;
const LOOK_MS = 100;

/**
 * Asks the node to keep a connection to each of these enodes, and to let them in beyond its peer limit.
 * A node forgets them when its process ends.
 *
 * Two nodes that dial each other in the same instant may each refuse the other's call as already connected, and neither dials the
 * same node again for 35 s. So the one whose public key is lower dials at once, and the other gives it two seconds first.
 */
export async function addPeers(ipcPath: string, enodes: string[]): Promise<void> {
  if (enodes.length === 0) return;
  for (const enode of enodes) await ipcCall(ipcPath, 'admin_addTrustedPeer', [enode]);
  const own = keyOf((await ipcCall<{ enode: string }>(ipcPath, 'admin_nodeInfo')).enode);
  const dial = async (some: string[]) => {
    for (const enode of some) await ipcCall(ipcPath, 'admin_addPeer', [enode]);
  };
  await dial(enodes.filter((enode) => own < keyOf(enode)));
  let awaited = enodes.filter((enode) => own > keyOf(enode));
  for (const until = Date.now() + FIRST_DIAL_MS; awaited.length > 0 && Date.now() < until; ) {
    const connected = await connectedKeys(ipcPath);
    // The one that is connected is added too: the node redials it when the connection breaks.
    await dial(awaited.filter((enode) => connected.has(keyOf(enode))));
    awaited = awaited.filter((enode) => !connected.has(keyOf(enode)));
    if (awaited.length > 0) await new Promise((wake) => setTimeout(wake, LOOK_MS));
  }
  await dial(awaited);
}

/** The public keys (hexadecimal, as in an enode URL) of the nodes it is connected to. */
export async function connectedKeys(ipcPath: string): Promise<Set<string>> {
  const peers = await ipcCall<{ enode: string }[]>(ipcPath, 'admin_peers');
  return new Set(peers.map((peer) => keyOf(peer.enode)));
}

/** The public key of a node's address, hexadecimal; empty where the text is no enode URL. */
export const keyOf = (enode: string) => /^enode:\/\/([0-9a-f]+)@/.exec(enode)?.[1] ?? '';

/** Number of peers the node is connected to. */
export async function peerCount(ipcPath: string): Promise<number> {
  return Number(await ipcCall<string>(ipcPath, 'net_peerCount'));
}
