import { Inject, Injectable } from '@nestjs/common';
import { toHex } from '../../../../libs/platform/src/bytes.js';
import { ProblemError } from '../../../../libs/platform/src/errors.js';
import { AccessLog, hospitalPrincipal } from '../audit/access-log.service.js';
import { GATEWAY_ENV, type GatewayEnv } from '../gateway.env.js';
import { PeerClient } from '../peering/peer.client.js';
import { SagaStore } from './saga/saga.store.js';
import { packageHash } from './transfer-package.js';
import { TransferPackages } from './transfer-packages.service.js';
import { type TransferRow, TransfersStore } from './transfers.store.js';

export const PACKAGE_TYPE = 'application/vnd.emr-gateway.transfer-package';
/** Shorter than a saga's lease. */
const PACKAGE_TIMEOUT_MS = 30_000;
const ENVELOPE_BYTES = 64 * 1024;

/** Brings packages to peers and fetches them. Each may be repeated: the same package for the same transfer changes nothing. */
@Injectable()
export class TransferDelivery {
  constructor(
    private readonly client: PeerClient,
    private readonly transfers: TransfersStore,
    private readonly sagas: SagaStore,
    private readonly packages: TransferPackages,
    private readonly accessLog: AccessLog,
    @Inject(GATEWAY_ENV) private readonly env: GatewayEnv,
  ) {}

  /** @throws ProblemError PEER_UNAVAILABLE or PEER_TIMEOUT, also while the peer doesn't know of the transfer yet */
  async deliver(row: TransferRow, { bytes }: { bytes: Buffer }): Promise<void> {
    await this.logRelease(row);
    const answer = await this.client.request(row.peerHospital, {
      method: 'POST',
      path: `/peer/v1/transfers/${toHex(row.id)}/package`,
      body: bytes,
      contentType: PACKAGE_TYPE,
      timeoutMs: PACKAGE_TIMEOUT_MS,
    });
    if (answer.status !== 200) {
      throw new ProblemError('PEER_UNAVAILABLE', {
        detail: `The other hospital answered ${answer.status} to the package.`,
      });
    }
    await this.sagas.markDelivered(row.id);
  }

  /** Writes that the package leaves for its receiver into the access log, in the name of whoever asked for the transfer; before it does. */
  async logRelease({ id, recordId, principal, actor, peerHospital, version }: TransferRow): Promise<void> {
    const looker = { principal: principal ?? hospitalPrincipal(peerHospital) };
    await this.accessLog.record(actor ? { ...looker, actor: { address: actor, custody: 'gateway' } } : looker, {
      kind: 'transfer-package',
      recordId,
      requestId: id,
      detail: { version, hospital: peerHospital },
    });
  }

  /** @throws ProblemError PEER_UNAVAILABLE or PEER_TIMEOUT, also while the peer has no package yet; PackageInvalid */
  async fetch(row: TransferRow): Promise<void> {
    const answer = await this.client.request(row.peerHospital, {
      method: 'GET',
      path: `/peer/v1/transfers/${toHex(row.id)}/package`,
      timeoutMs: PACKAGE_TIMEOUT_MS,
      maxBytes: this.env.CONTENT_LIMIT_BYTES + ENVELOPE_BYTES,
    });
    if (answer.status !== 200) {
      throw new ProblemError('PEER_UNAVAILABLE', { detail: 'The other hospital has no package of this transfer yet.' });
    }
    await this.packages.incoming(row, answer.body);
    await this.transfers.keepPackage(row.id, 'incoming', answer.body, packageHash(answer.body));
  }
}
