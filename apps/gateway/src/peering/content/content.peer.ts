import { Inject, Injectable, type OnModuleInit } from '@nestjs/common';
import { ProblemError } from '../../../../../libs/platform/src/errors.js';
import { type NetworksConfig, networkOf } from '../../../../../libs/platform/src/networks.js';
import { RecordContents } from '../../contents/record-contents.service.js';
import { NETWORKS } from '../../core.tokens.js';
import { idOf, type PeerCall, PeerListener, type PeerReply } from '../peer.listener.js';
import { PeersService } from '../peers.service.js';
import { encodeEnvelope } from './content-envelope.js';
import { ForeignLookStore } from './foreign-look.store.js';

export const ENVELOPE_TYPE = 'application/vnd.emr-gateway.content';

/** The custodian's side: content of a record of this hospital, for a hospital whose actor's query the global ledger confirmed. */
@Injectable()
export class ContentPeer implements OnModuleInit {
  constructor(
    private readonly listener: PeerListener,
    private readonly looks: ForeignLookStore,
    private readonly contents: RecordContents,
    private readonly peers: PeersService,
    @Inject(NETWORKS) private readonly networks: NetworksConfig,
  ) {}

  onModuleInit(): void {
    this.listener.route('POST', '/peer/v1/queries/:id/content', (call) => this.release(call));
  }

  /** 404 also while this hospital's mirror is a moment behind; 403 when what the query stood on no longer holds; 410 expired or erased. */
  async release({ from, params }: PeerCall): Promise<PeerReply> {
    const requestId = idOf(params);
    const [look, caller] = await Promise.all([this.looks.find(from, requestId), this.peers.registered(from)]);
    if (!look || !caller) throw new ProblemError('NOT_FOUND');
    if (look.expired) throw new ProblemError('GONE', { detail: 'The query has expired; ask again.' });
    if (!look.standing) throw new ProblemError('FORBIDDEN', { detail: 'What this query stood on no longer holds.' });
    const content = await this.contents.sealedVersion(this.networks.local, look.recordId, look.version);
    if (!content?.contentHash.equals(look.contentHash)) throw new ProblemError('GONE');
    const { chainId, contract } = networkOf(this.networks, 'global');
    const { recordId, version, contentHash } = look;
    const keyId = caller.transferKeyId;
    const binding = { use: 'query' as const, chainId, contract, id: requestId, recordId, version, keyId };
    const body = await encodeEnvelope(binding, contentHash, caller.transferKey, content);
    await this.looks.logRelease(from, requestId, look);
    return { status: 200, body, contentType: ENVELOPE_TYPE };
  }
}
