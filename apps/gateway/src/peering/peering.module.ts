import { Module } from '@nestjs/common';
import type { Logger } from '../../../../libs/platform/src/logger.js';
import { LOGGER } from '../core.tokens.js';
import { GATEWAY_ENV, type GatewayEnv } from '../gateway.env.js';
import { PeerClient } from './peer.client.js';
import { PEER_LISTENER_OPTIONS, PeerListener, type PeerListenerOptions } from './peer.listener.js';
import { PeeringStore } from './peering.store.js';
import { isPlain, readPeers } from './peers.file.js';
import { PEER_URLS, PeersService } from './peers.service.js';

/** Room for everything in a request but the content: manifest, sealed key, signature. */
const ENVELOPE_BYTES = 64 * 1024;
/** Clocks of two hospitals may differ by this much. A nonce is remembered for as long. */
const SIGNATURE_WINDOW_SECONDS = 60;

/** From gateway to gateway: the client, the listener of its own, and who the peers are. */
@Module({
  providers: [
    PeeringStore,
    PeersService,
    PeerClient,
    PeerListener,
    {
      provide: PEER_URLS,
      inject: [GATEWAY_ENV, LOGGER],
      useFactory: (env: GatewayEnv, logger: Logger) => {
        const urls = readPeers(env.PEERS_FILE);
        for (const [hospital, url] of urls) {
          if (isPlain(url)) logger.warn({ hospital }, 'the way to a peer is not encrypted: give it an https URL');
        }
        return urls;
      },
    },
    {
      provide: PEER_LISTENER_OPTIONS,
      inject: [GATEWAY_ENV],
      useFactory: (env: GatewayEnv): PeerListenerOptions => ({
        hospital: env.HOSPITAL_ID,
        host: env.HOST,
        port: env.PEER_PORT,
        bodyLimit: env.CONTENT_LIMIT_BYTES + ENVELOPE_BYTES,
        window: SIGNATURE_WINDOW_SECONDS,
      }),
    },
  ],
  exports: [PeerClient, PeerListener, PeersService],
})
export class PeeringModule {}
