import { Inject, Injectable, type OnModuleInit } from '@nestjs/common';
import { toHex } from '../../../../libs/platform/src/bytes.js';
import { ProblemError } from '../../../../libs/platform/src/errors.js';
import type { NetworksConfig } from '../../../../libs/platform/src/networks.js';
import { AccessLog, hospitalPrincipal } from '../audit/access-log.service.js';
import { NETWORKS } from '../core.tokens.js';
import { GATEWAY_ENV, type GatewayEnv } from '../gateway.env.js';
import { idOf, type PeerCall, PeerListener, type PeerReply } from '../peering/peer.listener.js';
import { SagaStore } from './saga/saga.store.js';
import { PACKAGE_TYPE, TransferDelivery } from './transfer-delivery.js';
import { PackageInvalid, packageHash } from './transfer-package.js';
import { TransferPackages } from './transfer-packages.service.js';
import { type TransferRow, TransfersStore } from './transfers.store.js';

/** What other hospitals' gateways may ask about transfers: only those they are a party to. */
@Injectable()
export class TransfersPeer implements OnModuleInit {
  constructor(
    private readonly listener: PeerListener,
    private readonly transfers: TransfersStore,
    private readonly sagas: SagaStore,
    private readonly packages: TransferPackages,
    private readonly delivery: TransferDelivery,
    private readonly accessLog: AccessLog,
    @Inject(NETWORKS) private readonly networks: NetworksConfig,
    @Inject(GATEWAY_ENV) private readonly env: GatewayEnv,
  ) {}

  onModuleInit(): void {
    this.listener.route('POST', '/peer/v1/transfers/:id/package', (call) => this.receive(call));
    this.listener.route('GET', '/peer/v1/transfers/:id/package', (call) => this.hand(call));
    this.listener.route('GET', '/peer/v1/transfers/:id', (call) => this.state(call));
  }

  /** Takes in a package of a transfer that the global ledger shows as proposed to this hospital by the caller. Repeating it changes nothing. */
  async receive({ from, params, body }: PeerCall): Promise<PeerReply> {
    const id = idOf(params);
    const ledger = await this.transfers.mirrored(this.networks.global, id);
    const isParty = ledger?.fromHospital === from && ledger.toHospital === this.env.HOSPITAL_ID;
    // Perhaps this hospital's mirror is a moment behind: the caller tries again.
    if (!ledger || !isParty) throw new ProblemError('NOT_FOUND');
    const row = (await this.transfers.find(id)) ?? (await this.#discovered(id));
    const hash = packageHash(body);
    if (!row.hasPackage) {
      if (ledger.state !== 'proposed' && ledger.state !== 'accepted') throw new ProblemError('CONFLICT');
      await this.#prove(row, body);
      await this.transfers.keepPackage(id, 'incoming', body, hash);
    }
    const kept = (await this.transfers.find(id))?.packageHash;
    if (!kept?.equals(hash))
      throw new ProblemError('CONFLICT', { detail: 'Another package of this transfer is here.' });
    return { status: 200, body: { packageHash: toHex(hash) } };
  }

  /** Gives the receiver of a transfer its package again: its delivery, or what came of it, was lost. */
  async hand({ from, params }: PeerCall): Promise<PeerReply> {
    const row = await this.#ofCaller(params, from);
    const ledger = await this.transfers.mirrored(this.networks.global, row.id);
    // The key in it is the receiver's only as long as the transfer may come to something.
    const alive = ledger && ['proposed', 'accepted', 'completed'].includes(ledger.state);
    const bytes = alive && row.direction === 'outgoing' ? await this.transfers.package(row.id) : undefined;
    if (!bytes) throw new ProblemError('NOT_FOUND');
    await this.delivery.logRelease(row);
    return { status: 200, body: bytes, contentType: PACKAGE_TYPE };
  }

  async state({ from, params }: PeerCall): Promise<PeerReply> {
    const row = await this.#ofCaller(params, from);
    const { id, recordId, direction, step, outcome, packageHash: hash } = row;
    const looker = { principal: hospitalPrincipal(from) };
    await this.accessLog.record(looker, { kind: 'transfer', recordId, requestId: id, detail: { hospital: from } });
    return { status: 200, body: { id: toHex(id), direction, step, outcome, packageHash: hash && toHex(hash) } };
  }

  async #prove(row: TransferRow, body: Buffer): Promise<void> {
    try {
      await this.packages.incoming(row, body);
    } catch (error) {
      if (!(error instanceof PackageInvalid)) throw error;
      throw new ProblemError('INVALID_INPUT', { detail: error.message, cause: error });
    }
  }

  async #discovered(id: Buffer): Promise<TransferRow> {
    await this.sagas.discover();
    const row = await this.transfers.find(id);
    if (!row) throw new ProblemError('NOT_FOUND');
    return row;
  }

  async #ofCaller(params: Record<string, string>, from: number): Promise<TransferRow> {
    const row = await this.transfers.find(idOf(params));
    if (row?.peerHospital !== from) throw new ProblemError('NOT_FOUND');
    return row;
  }
}
