import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { ipcCall, ipcPathFor } from '../ipc.js';
import { readKeptPeers, writeKeptPeers } from '../kept-peers.js';
import { nodeDirectory } from '../network.js';
import { nodeState, syncOf } from '../node-state.js';
import { connectedPeers, type PeerNode, peerNodeOf, requireSameChain } from '../peer-node.js';
import { addPeers, keyOf } from '../peering.js';
import { signersOf, voteSigner } from '../signers.js';
import { UsageError, wholeNumber } from './usage.error.js';

/** Which node is meant: one of a network that `up` runs, or any by its socket. */
const NODE = {
  state: { type: 'string', default: '.emr/geth' },
  node: { type: 'string' },
  ipc: { type: 'string' },
} as const;

interface Target {
  ipcPath: string;
  /** the node's folder, in which its supervisor looks for peers; undefined for a socket */
  dir: string | undefined;
}

function targetOf(values: { state: string; node?: string | undefined; ipc?: string | undefined }): Target {
  if (values.ipc !== undefined) {
    if (values.node !== undefined) throw new UsageError('--ipc names a node by itself; leave --node out');
    return { ipcPath: values.ipc, dir: undefined };
  }
  const dir = nodeDirectory(resolve(values.state), wholeNumber('node', values.node ?? '1', 1, 1_000));
  return { ipcPath: ipcPathFor(dir), dir };
}

const ENODE = /^enode:\/\/[0-9a-f]{128}@(\[[0-9a-f:.]+\]|[A-Za-z0-9.-]+):\d{1,5}(\?discport=\d{1,5})?$/;
const say = (text: string) => process.stdout.write(`${text}\n`);

/** list, add and remove: what POST /v1/admin/peers does, for nodes without a gateway. */
export async function peersCommand(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      ...NODE,
      with: { type: 'string' },
      'genesis-hash': { type: 'string' },
      'network-id': { type: 'string' },
      json: { type: 'boolean', default: false },
    },
  });
  const [action, enode, ...rest] = positionals;
  const target = targetOf(values);
  if (rest.length > 0) throw new UsageError(`"${rest[0]}" has no place here`);
  if (action === 'list' && enode === undefined) return listPeers(target, values.json);
  if (action === 'add') {
    await addPeer(target, await theirsFrom(enode, values));
    say(target.dir ? 'added, and kept over restarts' : 'added, until the process of that node ends');
    return 0;
  }
  if (action === 'remove' && enode !== undefined) {
    await removePeer(target, checkedEnode(enode));
    say('removed');
    return 0;
  }
  throw new UsageError('say list, add ENODE or remove ENODE');
}

async function theirsFrom(
  enode: string | undefined,
  values: {
    with?: string | undefined;
    'genesis-hash'?: string | undefined;
    'network-id'?: string | undefined;
  },
): Promise<PeerNode> {
  const { with: other, 'genesis-hash': genesisHash, 'network-id': networkId } = values;
  if (other !== undefined) {
    if (enode !== undefined || genesisHash !== undefined || networkId !== undefined) {
      throw new UsageError('--with asks the other node itself; leave enode, --genesis-hash and --network-id out');
    }
    return peerNodeOf(other);
  }
  if (enode === undefined || genesisHash === undefined || networkId === undefined) {
    throw new UsageError('add takes an enode with --genesis-hash and --network-id, or --with the other node’s socket');
  }
  if (!/^0x[0-9a-f]{64}$/i.test(genesisHash)) throw new UsageError('--genesis-hash takes 0x and 64 hexadecimal digits');
  return { enode: checkedEnode(enode), genesisHash, networkId: String(wholeNumber('network-id', networkId, 1)) };
}

function checkedEnode(enode: string): string {
  if (!ENODE.test(enode)) throw new UsageError(`"${enode}" is no enode://<128 hexadecimal digits>@host:port`);
  return enode;
}

/** @throws OtherChainError before anything is done */
export async function addPeer({ ipcPath, dir }: Target, theirs: PeerNode): Promise<void> {
  const ours = await peerNodeOf(ipcPath);
  requireSameChain(ours, theirs);
  if (keyOf(ours.enode) === keyOf(theirs.enode)) throw new UsageError('that is the node itself');
  if (dir) await writeKeptPeers(dir, [...(await readKeptPeers(dir)), theirs.enode]);
  await addPeers(ipcPath, [theirs.enode]);
}

export async function removePeer({ ipcPath, dir }: Target, enode: string): Promise<void> {
  if (dir)
    await writeKeptPeers(
      dir,
      (await readKeptPeers(dir)).filter((kept) => keyOf(kept) !== keyOf(enode)),
    );
  await ipcCall(ipcPath, 'admin_removeTrustedPeer', [enode]);
  await ipcCall(ipcPath, 'admin_removePeer', [enode]);
}

async function listPeers({ ipcPath, dir }: Target, json: boolean): Promise<number> {
  const [state, connected, kept] = await Promise.all([
    nodeState(ipcPath),
    connectedPeers(ipcPath),
    dir ? readKeptPeers(dir) : [],
  ]);
  const away = kept.filter((enode) => !connected.some(({ key }) => key === keyOf(enode)));
  if (json) say(JSON.stringify({ node: state, connected, kept, away }, null, 2));
  else {
    say(`our node: ${state.enode}`);
    say(`  block 0 ${state.genesisHash}, network id ${state.networkId}, block ${state.head.number}, ${syncOf(state)}`);
    for (const { key, name, remoteAddress } of connected)
      say(`connected: ${key.slice(0, 16)}… ${remoteAddress} ${name}`);
    for (const enode of away) say(`kept, not connected: ${enode}`);
  }
  return 0;
}

/** Who may seal: list, or vote ADDRESS in or out. */
export async function signersCommand(args: string[]): Promise<number> {
  const options = { ...NODE, seconds: { type: 'string', default: '30' } } as const;
  const { values, positionals } = parseArgs({ args, allowPositionals: true, options });
  const [action, address = '', what] = positionals;
  const { ipcPath } = targetOf(values);
  if (action === 'vote' && /^0x[0-9a-f]{40}$/i.test(address) && (what === 'in' || what === 'out')) {
    const decided = await voteSigner(ipcPath, address, what, 1_000 * wholeNumber('seconds', values.seconds, 1, 86_400));
    if (!decided)
      say('not decided yet: the proposal stands until it is, or the process of this node ends; others must vote');
    return decided ? listSigners(ipcPath) : 1;
  }
  if (action === 'list' && positionals.length === 1) return listSigners(ipcPath);
  throw new UsageError('say list, or vote 0xADDRESS in, or vote 0xADDRESS out');
}

async function listSigners(ipcPath: string): Promise<number> {
  const { signers, proposals } = await signersOf(ipcPath);
  for (const signer of signers) say(signer);
  for (const [address, what] of Object.entries(proposals)) say(`this node proposes: ${address} ${what}`);
  return 0;
}
