import { Inject, Injectable } from '@nestjs/common';
import { addressOf } from '../../../../libs/chain-client/src/keys/secp256k1.js';
import { Operation } from '../../../../libs/contracts/src/operations.js';
import { parameters } from '../../../../libs/contracts/src/parameters.js';
import { ProblemError } from '../../../../libs/platform/src/errors.js';
import { type NetworksConfig, networkOf } from '../../../../libs/platform/src/networks.js';
import { Vault } from '../../../../libs/vault/src/vault.js';
import { actorOf, type Caller } from '../auth/caller.js';
import { ContentsService } from '../contents/contents.service.js';
import { RecordContents } from '../contents/record-contents.service.js';
import type { SealedContent } from '../contents/sealed-content.js';
import { NETWORKS } from '../core.tokens.js';
import { fingerprintOf } from '../operations/act.js';
import { OperationsService, type OperationView } from '../operations/operations.service.js';
import { Records } from '../policy/records.service.js';
import type { AmendBody, OpenBody } from './emrs.schema.js';
import { Patients } from './patients.service.js';

const ZERO_32 = Buffer.alloc(32);

@Injectable()
export class EmrsService {
  constructor(
    private readonly operations: OperationsService,
    private readonly records: Records,
    private readonly contents: ContentsService,
    private readonly recordContents: RecordContents,
    private readonly patients: Patients,
    private readonly vault: Vault,
    @Inject(NETWORKS) private readonly networks: NetworksConfig,
  ) {}

  /** Id of the record that the open with this request id makes. */
  recordIdOf(caller: Caller, requestId: Buffer): Buffer {
    return this.vault.recordId(caller.hospital, requestId);
  }

  /** Opens a record for a patient from uploaded content. Content, key and patient link are stored with the operation or not at all. */
  async open(caller: Caller, idempotencyKey: string, body: OpenBody): Promise<OperationView> {
    actorOf(caller);
    let prepared: { recordId: Buffer; subject: Buffer; subjectKey: Buffer; sealed: SealedContent & { dek: Buffer } };
    return this.operations.perform(caller, {
      idempotencyKey,
      fingerprint: fingerprintOf('POST', '/v1/emrs', body),
      type: 'open',
      steps: [
        {
          network: 'local',
          build: async (requestId) => {
            const staged = await this.contents.open(caller, body.contentId);
            const recordId = this.recordIdOf(caller, requestId);
            const subjectKey = this.vault.subjectKey(requestId);
            const subject = addressOf(subjectKey);
            const sealed = this.recordContents.seal(requestId, this.#place(recordId, 1), staged);
            prepared = { recordId, subject, subjectKey, sealed };
            return {
              code: Operation.OPEN,
              recordId,
              parameters: parameters.open({
                contentHash: sealed.contentHash,
                subject,
                level: body.securityLevel,
                origin: ZERO_32,
                originBlock: ZERO_32,
              }),
            };
          },
        },
      ],
      inSameCommit: async (manager, [requestId]) => {
        const { recordId, sealed } = prepared;
        await this.recordContents.keep(manager, { recordId, version: 1, requestId: requestId! }, sealed);
        await this.patients.attach(manager, prepared, body.patient.identifier);
      },
    });
  }

  /** Adds a version on top of `expectedVersion`, which must be the latest when the ledger decides. */
  async amend(
    caller: Caller,
    idempotencyKey: string,
    recordId: Buffer,
    expectedVersion: number,
    body: AmendBody,
  ): Promise<OperationView> {
    actorOf(caller);
    const { network } = await this.records.require(recordId);
    const version = expectedVersion + 1;
    let sealed: SealedContent & { dek: Buffer };
    return this.operations.perform(caller, {
      idempotencyKey,
      fingerprint: fingerprintOf('POST', `/v1/emrs/${recordId.toString('hex')}/versions "v${expectedVersion}"`, body),
      type: 'amend',
      steps: [
        {
          network,
          build: async (requestId) => {
            const record = await this.records.require(recordId);
            if (record.version !== expectedVersion) throw new ProblemError('PRECONDITION_FAILED');
            const staged = await this.contents.open(caller, body.contentId);
            sealed = this.recordContents.seal(requestId, this.#place(recordId, version), staged);
            return {
              code: Operation.AMEND,
              recordId,
              parameters: parameters.amend({ expectedVersion, contentHash: sealed.contentHash }),
            };
          },
        },
      ],
      inSameCommit: (manager, [requestId]) =>
        this.recordContents.keep(manager, { recordId, version, requestId: requestId! }, sealed),
    });
  }

  async setClosed(
    caller: Caller,
    idempotencyKey: string,
    recordId: Buffer,
    change: { closed: boolean; reason: number },
  ): Promise<OperationView> {
    actorOf(caller);
    const { network } = await this.records.require(recordId);
    const { closed, reason } = change;
    const route = `/v1/emrs/${recordId.toString('hex')}/${closed ? 'closure' : 'reopening'}`;
    return this.operations.perform(caller, {
      idempotencyKey,
      fingerprint: fingerprintOf('POST', route, { reason }),
      type: closed ? 'close' : 'reopen',
      steps: [
        {
          network,
          build: () => ({
            code: closed ? Operation.CLOSE : Operation.REOPEN,
            recordId,
            parameters: closed ? parameters.close({ reason }) : parameters.reopen({ reason }),
          }),
        },
      ],
    });
  }

  #place(recordId: Buffer, version: number) {
    return { chainId: networkOf(this.networks, 'local').chainId, recordId, version };
  }
}
