import { createHash } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import { ProblemError } from '../../../../libs/platform/src/errors.js';
import { type NetworksConfig, networkOf } from '../../../../libs/platform/src/networks.js';
import { NETWORKS } from '../core.tokens.js';
import { PeeringStore, type RegisteredHospital } from './peering.store.js';
import type { PeerUrls } from './peers.file.js';

export const PEER_URLS = Symbol('peer urls');

/** The other hospitals: who they are says the registry on the global network, where they are says PEERS_FILE, checked against the registry. */
@Injectable()
export class PeersService {
  readonly #network: string;

  constructor(
    private readonly store: PeeringStore,
    @Inject(NETWORKS) networks: NetworksConfig,
    @Inject(PEER_URLS) private readonly urls: PeerUrls,
  ) {
    this.#network = networkOf(networks, 'global').name;
  }

  /** An active hospital of the registry, or undefined. */
  registered(id: number): Promise<RegisteredHospital | undefined> {
    return this.store.find(this.#network, id);
  }

  /**
   * Where to reach an active hospital.
   * @throws ProblemError PEER_UNAVAILABLE when it isn't active, has no URL here, or the registry vouches for another URL
   */
  async reachable(id: number): Promise<RegisteredHospital & { url: string }> {
    const hospital = await this.registered(id);
    if (!hospital) throw unavailable('The registry knows no such active hospital.');
    const url = this.urls.get(id);
    if (url === undefined) throw unavailable('This gateway has no address of that hospital: add it to PEERS_FILE.');
    if (!createHash('sha256').update(url).digest().equals(hospital.endpointHash)) {
      throw unavailable('The address in PEERS_FILE is not the one the registry vouches for.');
    }
    return { ...hospital, url };
  }
}

function unavailable(detail: string): ProblemError {
  return new ProblemError('PEER_UNAVAILABLE', { detail });
}
