import { Inject, Injectable, type OnApplicationBootstrap, type OnApplicationShutdown } from '@nestjs/common';
import type { RpcTransport } from '../../../../libs/chain-client/src/rpc/transport.js';
import { ProblemError } from '../../../../libs/platform/src/errors.js';
import type { Logger } from '../../../../libs/platform/src/logger.js';
import type { NetworkConfig } from '../../../../libs/platform/src/networks.js';
import { LOGGER } from '../core.tokens.js';
import { NetworksService } from '../networks/networks.service.js';
import { Nodes } from '../networks/nodes.js';
import type { NewPeer, PeerBody, PeeredNode, PeerListBody, PeerRemoval } from './peers.schema.js';
import { type PeerRow, PeersStore } from './peers.store.js';

/** A node forgets its peers when it ends: they are added again and again. */
const AGAIN_MS = 15_000;

/** Which other nodes this hospital's nodes stay connected to. */
@Injectable()
export class NodePeersService implements OnApplicationBootstrap, OnApplicationShutdown {
  #timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly store: PeersStore,
    private readonly nodes: Nodes,
    private readonly networks: NetworksService,
    @Inject(LOGGER) private readonly logger: Logger,
  ) {}

  onApplicationBootstrap(): void {
    const round = () =>
      this.#addAll()
        .catch((error: unknown) => this.logger.debug({ err: error }, 'peers could not be read; tried again soon'))
        .finally(() => {
          if (this.#timer) this.#timer = setTimeout(round, AGAIN_MS).unref();
        });
    this.#timer = setTimeout(round, 0).unref();
  }

  onApplicationShutdown(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  /** Peers as stored, `connected` where our node answers; and our nodes. */
  async list(): Promise<PeerListBody> {
    const [rows, nodes] = await Promise.all([
      this.store.list(),
      Promise.all(this.nodes.configured.map((network) => this.#describe(network))),
    ]);
    const connected = new Map(nodes.map(({ node, keys }) => [node.network, keys]));
    return {
      items: rows.map((row) => present(row, connected.get(row.network))),
      nodes: nodes.map(({ node }) => node),
    };
  }

  async #describe(network: NetworkConfig): Promise<{ node: PeeredNode; keys: Set<string> | undefined }> {
    const { reachable, head, peers, sync } = await this.networks.nodeState(network);
    const node = { network: network.name, reachable, head, peers, sync };
    if (!reachable) return { node, keys: undefined };
    const transport = this.nodes.transport(network.name);
    const [info, keys] = await Promise.all([
      // Not every node offers the administrator's methods.
      transport.request<{ enode: string }>('admin_nodeInfo', []).catch(() => undefined),
      this.#connectedKeys(network.name).catch(() => undefined),
    ]);
    return { node: { ...node, enode: info?.enode }, keys };
  }

  /**
   * Connects to a node of the same chain, now and after every restart.
   * @throws ProblemError CONFLICT with both values when genesis or network id differ; NOT_FOUND; CHAIN_UNAVAILABLE
   */
  async add({ network, enode, genesisHash, networkId }: NewPeer): Promise<PeerBody> {
    const transport = this.#transport(network);
    const [genesis, id] = await Promise.all([
      transport.request<{ hash: string }>('eth_getBlockByNumber', ['0x0', false]),
      transport.request<string>('net_version', []),
    ]).catch(unavailable);
    const differences = [
      ...(genesis.hash.toLowerCase() === genesisHash.toLowerCase()
        ? []
        : [`genesis: ours ${genesis.hash}, theirs ${genesisHash}`]),
      ...(id === networkId ? [] : [`network id: ours ${id}, theirs ${networkId}`]),
    ];
    if (differences.length > 0) {
      throw new ProblemError('CONFLICT', { detail: `That node is of another chain (${differences.join('; ')}).` });
    }
    await this.store.add(network, enode);
    await transport.request('admin_addPeer', [enode]).catch(unavailable);
    const row = (await this.store.list()).find((peer) => peer.network === network && peer.enode === enode);
    if (!row) throw new ProblemError('CONFLICT', { detail: 'The peer was removed meanwhile.' });
    return present(row, undefined);
  }

  /** @throws ProblemError NOT_FOUND for an unknown network */
  async remove({ network, enode }: PeerRemoval): Promise<void> {
    const transport = this.#transport(network);
    await this.store.remove(network, enode);
    await transport.request('admin_removePeer', [enode]).catch(unavailable);
  }

  /** Each peer for itself: one network's node being away must not keep another's from meeting its peers. */
  async #addAll(): Promise<void> {
    const rows = await this.store.list();
    const added = await Promise.allSettled(
      rows.map(async ({ network, enode }) => this.nodes.transport(network).request('admin_addPeer', [enode])),
    );
    for (const result of added) {
      if (result.status === 'rejected')
        this.logger.debug({ err: result.reason }, 'a peer could not be added; tried again soon');
    }
  }

  async #connectedKeys(network: string): Promise<Set<string>> {
    const peers = await this.nodes.transport(network).request<{ enode: string }[]>('admin_peers', []);
    return new Set(peers.map((peer) => keyOf(peer.enode)));
  }

  #transport(network: string): RpcTransport {
    try {
      return this.nodes.transport(network);
    } catch (cause) {
      throw new ProblemError('NOT_FOUND', { detail: 'This hospital has no such network.', cause });
    }
  }
}

function unavailable(cause: unknown): never {
  throw new ProblemError('CHAIN_UNAVAILABLE', { cause });
}

/** The node key within an enode URL; the address may be written in several ways. */
function keyOf(enode: string): string {
  return enode.slice('enode://'.length).split('@')[0] ?? '';
}

function present(row: PeerRow, connected: Set<string> | undefined): PeerBody {
  return {
    network: row.network,
    enode: row.enode,
    ...(connected ? { connected: connected.has(keyOf(row.enode)) } : {}),
    createdAt: row.created_at.toISOString(),
  };
}
