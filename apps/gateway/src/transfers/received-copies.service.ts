import { Inject, Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import { addressOf } from '../../../../libs/chain-client/src/keys/secp256k1.js';
import { parameters } from '../../../../libs/contracts/src/parameters.js';
import { Vault } from '../../../../libs/vault/src/vault.js';
import { RecordContents } from '../contents/record-contents.service.js';
import { Patients } from '../emrs/patients.service.js';
import { GATEWAY_ENV, type GatewayEnv } from '../gateway.env.js';
import { SagaStore } from './saga/saga.store.js';
import { actRequestId, copyRecordId } from './transfer-ids.js';
import { TransferPackages } from './transfer-packages.service.js';
import { type TransferRow, TransfersStore } from './transfers.store.js';

/** A received copy, ready to be opened as a record of this hospital. */
export interface PreparedCopy {
  recordId: Buffer;
  /** Of OPEN. */
  parameters: Buffer;
  /** Stores content, key and patient link: in the commit that accepts the OPEN of that request id. */
  keep(manager: EntityManager, requestId: Buffer, actor: Buffer): Promise<void>;
}

/** What opening the copy of a completed transfer takes, whoever opens it. */
@Injectable()
export class ReceivedCopies {
  constructor(
    private readonly transfers: TransfersStore,
    private readonly sagas: SagaStore,
    private readonly packages: TransferPackages,
    private readonly contents: RecordContents,
    private readonly patients: Patients,
    private readonly vault: Vault,
    @Inject(GATEWAY_ENV) private readonly env: Pick<GatewayEnv, 'HOSPITAL_ID'>,
  ) {}

  /**
   * @param completedIn hash of the global block that completed the transfer
   * @throws PackageInvalid
   */
  async prepare(row: TransferRow, completedIn: Buffer): Promise<PreparedCopy> {
    const [bytes, published] = await Promise.all([this.transfers.package(row.id), this.sagas.published(row.recordId)]);
    if (!bytes || !published) throw new Error('the mirror or the table lacks part of the transfer');
    const { sealed, patient } = await this.packages.incoming(row, bytes);
    const recordId = copyRecordId(this.env.HOSPITAL_ID, row.id);
    // Of the transfer, not of the try: one record has one subject, however often its opening is tried.
    const subjectKey = this.vault.subjectKey(actRequestId(row.id, 'open'));
    const subject = addressOf(subjectKey);
    const { contentHash } = sealed;
    return {
      recordId,
      parameters: parameters.open({
        contentHash,
        subject,
        level: published.level,
        origin: row.id,
        originBlock: completedIn,
      }),
      keep: async (manager, requestId, actor) => {
        await this.contents.keep(manager, { recordId, version: 1, requestId }, sealed);
        await this.patients.attach(manager, { recordId, subject, subjectKey }, patient);
        await this.sagas.noteCopy(manager, row.id, recordId, actor);
      },
    };
  }
}
