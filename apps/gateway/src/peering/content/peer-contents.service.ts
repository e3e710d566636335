import { Inject, Injectable } from '@nestjs/common';
import { toHex } from '../../../../../libs/platform/src/bytes.js';
import { ProblemError } from '../../../../../libs/platform/src/errors.js';
import { type NetworksConfig, networkOf } from '../../../../../libs/platform/src/networks.js';
import { Vault } from '../../../../../libs/vault/src/vault.js';
import { ContentDamaged, openContent } from '../../contents/sealed-content.js';
import { NETWORKS } from '../../core.tokens.js';
import { GATEWAY_ENV, type GatewayEnv } from '../../gateway.env.js';
import { ForeignContents, type ForeignQuery } from '../../queries/foreign-contents.js';
import { PeerClient } from '../peer.client.js';
import { decodeEnvelope, EnvelopeInvalid } from './content-envelope.js';

const TIMEOUT_MS = 15_000;
const HEAD_BYTES = 64 * 1024;

/** The asking hospital's side: fetches content from the record's custodian and proves it against the ledger. */
@Injectable()
export class PeerContents extends ForeignContents {
  constructor(
    private readonly client: PeerClient,
    private readonly vault: Vault,
    @Inject(NETWORKS) private readonly networks: NetworksConfig,
    @Inject(GATEWAY_ENV) private readonly env: GatewayEnv,
  ) {
    super();
  }

  /** @throws ProblemError PEER_UNAVAILABLE, PEER_TIMEOUT, GONE, FORBIDDEN (no longer covered) */
  override async fetch(query: ForeignQuery): Promise<{ mediaType: string; bytes: Buffer }> {
    const { requestId, recordId, version, contentHash, custodian } = query;
    const answer = await this.client.request(custodian, {
      method: 'POST',
      path: `/peer/v1/queries/${toHex(requestId)}/content`,
      timeoutMs: TIMEOUT_MS,
      maxBytes: this.env.CONTENT_LIMIT_BYTES + HEAD_BYTES,
    });
    if (answer.status === 410) throw new ProblemError('GONE');
    if (answer.status === 403)
      throw new ProblemError('FORBIDDEN', { detail: 'What this query stood on no longer holds.' });
    if (answer.status !== 200) {
      throw new ProblemError('PEER_UNAVAILABLE', {
        detail: 'The other hospital has not seen this query confirmed yet.',
      });
    }
    const { chainId, contract } = networkOf(this.networks, query.network);
    const binding = { use: 'query' as const, chainId, contract, id: requestId, recordId, version };
    try {
      const { manifest, ciphertext, dek } = await decodeEnvelope(answer.body, binding, contentHash, (id) =>
        this.vault.transferPrivateKey(id),
      );
      return openContent({ manifest, ciphertext, contentHash }, dek);
    } catch (cause) {
      if (!(cause instanceof EnvelopeInvalid || cause instanceof ContentDamaged)) throw cause;
      throw new ProblemError('PEER_UNAVAILABLE', { detail: 'The other hospital gave no valid answer.', cause });
    }
  }
}
