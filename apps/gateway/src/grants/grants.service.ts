import { Inject, Injectable } from '@nestjs/common';
import { Operation, Purpose, purposeName } from '../../../../libs/contracts/src/operations.js';
import { parameters } from '../../../../libs/contracts/src/parameters.js';
import { toHex } from '../../../../libs/platform/src/bytes.js';
import { ProblemError } from '../../../../libs/platform/src/errors.js';
import { type NetworksConfig, networkOf } from '../../../../libs/platform/src/networks.js';
import { AccessLog } from '../audit/access-log.service.js';
import { actorOf, type Caller } from '../auth/caller.js';
import { ContentsService } from '../contents/contents.service.js';
import { RecordContents } from '../contents/record-contents.service.js';
import type { SealedContent } from '../contents/sealed-content.js';
import { NETWORKS } from '../core.tokens.js';
import { Patients } from '../emrs/patients.service.js';
import { bytesOf, toInstant } from '../http/fields.js';
import { fingerprintOf } from '../operations/act.js';
import { OperationsService, type OperationView } from '../operations/operations.service.js';
import { Records } from '../policy/records.service.js';
import { type GrantBody, type GrantView, type RevocationBody, revocationReasons } from './grants.schema.js';
import { type GrantRow, GrantsStore } from './grants.store.js';
import { Publication } from './publication.service.js';

const ZERO_32 = Buffer.alloc(32);
const ZERO_20 = Buffer.alloc(20);
/** Where a consent document stands among a record's contents: beside its versions. */
const CONSENT = 0;

@Injectable()
export class GrantsService {
  constructor(
    private readonly store: GrantsStore,
    private readonly records: Records,
    private readonly patients: Patients,
    private readonly contents: ContentsService,
    private readonly recordContents: RecordContents,
    private readonly publication: Publication,
    private readonly operations: OperationsService,
    private readonly accessLog: AccessLog,
    @Inject(NETWORKS) private readonly networks: NetworksConfig,
  ) {}

  /** Grants access, here or, for another hospital, on the global ledger, where the record is published first if it isn't yet. */
  async give(caller: Caller, idempotencyKey: string, recordId: Buffer, body: GrantBody): Promise<OperationView> {
    const record = await this.records.require(recordId);
    const subject = await this.patients.subjectActor(caller, recordId);
    if (!subject) actorOf(caller);
    const hospital = body.hospital ?? caller.hospital;
    // Publication signs in the author's name and can't be undone: not for a grant that the ledger is going to refuse. That is then refused where
    // the record is.
    const mayGive = subject !== undefined || (caller.roles.includes('privacy-officer') && body.consent !== undefined);
    const network = hospital !== caller.hospital && mayGive ? 'global' : record.network;
    const publish = network === 'global' ? await this.publication.steps(caller, record) : [];
    let consent: (SealedContent & { dek: Buffer }) | undefined;
    return this.operations.perform(caller, {
      idempotencyKey,
      fingerprint: fingerprintOf('POST', `/v1/emrs/${recordId.toString('hex')}/grants`, body),
      type: 'grant',
      steps: [
        ...publish,
        {
          network,
          build: async (requestId) => {
            if (body.consent && 'contentId' in body.consent) {
              const staged = await this.contents.open(caller, body.consent.contentId);
              const { chainId } = networkOf(this.networks, network);
              consent = this.recordContents.seal(requestId, { chainId, recordId, version: CONSENT }, staged);
            }
            return {
              code: Operation.GRANT,
              recordId,
              parameters: parameters.grant({
                grantId: requestId,
                grantee: granteeOf(body),
                granteeHospital: hospital,
                operations: 2 ** Operation.QUERY,
                purpose: body.purpose ? Purpose[body.purpose] : 0,
                delay: body.startsInSeconds,
                duration: body.durationSeconds ?? 0,
                consentHash: consent?.contentHash ?? hashOf(body) ?? ZERO_32,
              }),
              ...(subject ? { actor: subject } : {}),
            };
          },
        },
      ],
      inSameCommit: async (manager, requestIds) => {
        const key = { recordId, version: CONSENT, requestId: requestIds.at(-1)! };
        if (consent) await this.recordContents.keep(manager, key, consent);
      },
    });
  }

  /** @throws ProblemError NOT_FOUND when no ledger here has such a grant */
  async revoke(caller: Caller, idempotencyKey: string, grantId: Buffer, body: RevocationBody): Promise<OperationView> {
    const grant = await this.store.find(grantId);
    if (!grant) throw new ProblemError('NOT_FOUND');
    const { network, recordId } = grant;
    const subject = await this.patients.subjectActor(caller, recordId);
    if (!subject) actorOf(caller);
    return this.operations.perform(caller, {
      idempotencyKey,
      fingerprint: fingerprintOf('POST', `/v1/grants/${grantId.toString('hex')}/revocation`, body),
      type: 'revoke',
      steps: [
        {
          network,
          build: () => ({
            code: Operation.REVOKE,
            recordId,
            parameters: parameters.revoke({ grantId, reason: revocationReasons[body.reason] }),
            ...(subject ? { actor: subject } : {}),
          }),
        },
      ],
    });
  }

  /** @throws ProblemError NOT_FOUND when there is none, or the caller may not see its record */
  async view(caller: Caller, grantId: Buffer): Promise<GrantView> {
    const grant = await this.store.find(grantId);
    if (!grant) throw new ProblemError('NOT_FOUND');
    await this.records.requireVisible(caller, grant.recordId);
    await this.accessLog.record(caller, { kind: 'grants', recordId: grant.recordId, requestId: grantId });
    return presentGrant(grant);
  }

  /** One row more than `limit`. @throws ProblemError NOT_FOUND when the caller may not see the record */
  async list(
    caller: Caller,
    recordId: Buffer,
    before: { grantedAt: number; grantId: Buffer } | undefined,
    limit: number,
  ): Promise<GrantRow[]> {
    await this.records.requireVisible(caller, recordId);
    const rows = await this.store.list(recordId, before, limit + 1);
    await this.accessLog.record(caller, { kind: 'grants', recordId });
    return rows;
  }
}

function granteeOf({ grantee }: GrantBody): Buffer {
  if (!grantee) return ZERO_20;
  return bytesOf('actor' in grantee ? grantee.actor : grantee.team);
}

function hashOf({ consent }: GrantBody): Buffer | undefined {
  return consent && 'hash' in consent ? bytesOf(consent.hash) : undefined;
}

export function presentGrant(row: GrantRow): GrantView {
  return {
    id: toHex(row.grantId),
    recordId: toHex(row.recordId),
    network: row.network,
    hospital: row.hospital,
    grantee: row.grantee.equals(ZERO_20) ? null : toHex(row.grantee),
    operations: row.operations & (2 ** Operation.QUERY) ? ['query'] : [],
    purpose: row.purpose === 0 ? null : purposeName(row.purpose),
    notBefore: toInstant(row.notBefore),
    notAfter: row.notAfter === 0 ? null : toInstant(row.notAfter),
    consentHash: row.consentHash.equals(ZERO_32) ? null : toHex(row.consentHash),
    grantedBy: toHex(row.grantedBy),
    grantedAt: toInstant(row.grantedAt),
    revokedAt: row.revokedAt === null ? null : toInstant(row.revokedAt),
    state: stateOf(row, Date.now() / 1000),
  };
}

function stateOf({ revokedAt, notBefore, notAfter }: GrantRow, now: number): GrantView['state'] {
  if (revokedAt !== null) return 'revoked';
  if (now < notBefore) return 'scheduled';
  return notAfter !== 0 && now > notAfter ? 'expired' : 'active';
}
