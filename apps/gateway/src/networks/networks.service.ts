import { Inject, Injectable } from '@nestjs/common';
import { toHex } from '../../../../libs/platform/src/bytes.js';
import type { NetworkConfig, NetworksConfig } from '../../../../libs/platform/src/networks.js';
import { NETWORKS } from '../core.tokens.js';
import type { NetworkBody, NodeState } from './network.schema.js';
import { type CursorRow, NetworkStore } from './network.store.js';
import { Nodes } from './nodes.js';

/** A node that doesn't answer within this is not reachable for a look at its state. */
const NODE_TIMEOUT_MS = 1_500;

@Injectable()
export class NetworksService {
  constructor(
    @Inject(NETWORKS) private readonly networks: NetworksConfig,
    private readonly nodes: Nodes,
    private readonly store: NetworkStore,
  ) {}

  /** Each network as configured, as its node says, and as the mirror has it. */
  async list(): Promise<NetworkBody[]> {
    const cursors = await this.store.cursors();
    return Promise.all(
      this.networks.networks.map((network) =>
        this.#describe(
          network,
          cursors.find((cursor) => cursor.network === network.name),
        ),
      ),
    );
  }

  async #describe(network: NetworkConfig, cursor: CursorRow | undefined): Promise<NetworkBody> {
    const node = await this.nodeState(network);
    const lag = cursor && node.head !== undefined ? Number(BigInt(node.head) - BigInt(cursor.number)) : undefined;
    return {
      name: network.name,
      tiers: (['local', 'global'] as const).filter((tier) => this.networks[tier] === network.name),
      chainId: String(network.chainId),
      contract: toHex(network.contract),
      genesisHash: toHex(network.genesisHash),
      finalityDepth: network.finalityDepth,
      node,
      ...(cursor
        ? {
            mirror: {
              number: cursor.number,
              finalNumber: cursor.final_number,
              sequence: cursor.sequence,
              ...(lag === undefined ? {} : { lag }),
              ...(cursor.stopped_reason === null ? {} : { stopped: cursor.stopped_reason }),
            },
          }
        : {}),
    };
  }

  /** What our node of that network says of itself, now. */
  async nodeState({ name, period }: NetworkConfig): Promise<NodeState> {
    const transport = this.nodes.transport(name);
    const asked = Promise.all([
      transport.request<{ number: string; timestamp: string }>('eth_getBlockByNumber', ['latest', false]),
      transport.request<string>('net_peerCount', []).catch(() => undefined),
      transport
        .request<false | { currentBlock: string; highestBlock: string }>('eth_syncing', [])
        .catch(() => false as const),
    ]);
    // The request goes on in the transport and may fail later, when nobody listens any more.
    asked.catch(() => undefined);
    const answer = await Promise.race([asked, timeout(NODE_TIMEOUT_MS)]).catch(() => undefined);
    if (!answer) return { reachable: false };
    const [head, peers, sync] = answer;
    const headAge = Math.max(0, Math.round(Date.now() / 1000) - Number(head.timestamp));
    return {
      ...{ reachable: true, head: BigInt(head.number).toString(), headAge },
      ...(peers === undefined ? {} : { peers: Number(peers) }),
      ...(sync ? { sync: { current: decimal(sync.currentBlock), highest: decimal(sync.highestBlock) } } : {}),
      ...(period !== undefined && headAge > silenceOf(period) ? { stalled: true as const } : {}),
    };
  }
}

const decimal = (quantity: string) => BigInt(quantity).toString();

/** Seconds without a block after which a network that makes one every `period` counts as standing still. */
const silenceOf = (period: number) => Math.max(10, 5 * period);

function timeout(ms: number): Promise<undefined> {
  return new Promise((resolve) => {
    setTimeout(() => resolve(undefined), ms).unref();
  });
}
