import { Inject, Injectable, type OnApplicationShutdown } from '@nestjs/common';
import type { RpcTransport } from '../../../../libs/chain-client/src/rpc/transport.js';
import { connectRpc } from '../../../../libs/chain-client/src/rpc/transport.js';
import { type NetworkConfig, type NetworksConfig, networkOf } from '../../../../libs/platform/src/networks.js';
import { NETWORKS } from '../core.tokens.js';

/** Connections to this hospital's own nodes for looking at them; acts go through the submission's connections. */
@Injectable()
export class Nodes implements OnApplicationShutdown {
  readonly #transports = new Map<string, RpcTransport>();

  constructor(@Inject(NETWORKS) private readonly networks: NetworksConfig) {}

  get configured(): NetworkConfig[] {
    return this.networks.networks;
  }

  /** @param tierOrName "local", "global" or a name. @throws RangeError when there is no such network */
  transport(tierOrName: string): RpcTransport {
    const network = networkOf(this.networks, tierOrName);
    const known = this.#transports.get(network.name);
    if (known) return known;
    const made = connectRpc(network.rpc);
    this.#transports.set(network.name, made);
    return made;
  }

  async onApplicationShutdown(): Promise<void> {
    await Promise.all([...this.#transports.values()].map((transport) => transport.close()));
  }
}
