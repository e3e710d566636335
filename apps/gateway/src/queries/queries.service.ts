import { Injectable, Optional } from '@nestjs/common';
import { Operation, Purpose, purposeName, reasonName } from '../../../../libs/contracts/src/operations.js';
import { addressWord, decodeParameters, parameters } from '../../../../libs/contracts/src/parameters.js';
import { toHex } from '../../../../libs/platform/src/bytes.js';
import { ProblemError } from '../../../../libs/platform/src/errors.js';
import { Grouped } from '../../../../libs/platform/src/grouped.js';
import { actorOf, type Caller } from '../auth/caller.js';
import { RecordContents } from '../contents/record-contents.service.js';
import { ContentDamaged } from '../contents/sealed-content.js';
import { Patients } from '../emrs/patients.service.js';
import { bytesOf, toInstant } from '../http/fields.js';
import { fingerprintOf } from '../operations/act.js';
import { requireRoleOfToken } from '../operations/act-roles.js';
import { OperationsService, type OperationView, type Representation } from '../operations/operations.service.js';
import { ForeignContents } from './foreign-contents.js';
import type { QueryBody, QueryView } from './queries.schema.js';
import { QueriesStore, type QueryRow, type ReleaseKey, type Target, type TargetKey } from './queries.store.js';

// After a restore it may come back: who opened the record asks again with the same key, and the content is stored anew.
const NOT_HERE = 'The content is not here any more: it was erased, or lost when the database was restored.';

@Injectable()
export class QueriesService {
  readonly #targets: Grouped<TargetKey, Target | undefined>;
  readonly #looks: Grouped<ReleaseKey, QueryRow | undefined>;

  constructor(
    store: QueriesStore,
    private readonly operations: OperationsService,
    private readonly contents: RecordContents,
    private readonly patients: Patients,
    @Optional() private readonly foreign?: ForeignContents,
  ) {
    // One at a time: what comes meanwhile shares the next, and a statement costs more than what it looks up.
    this.#targets = new Grouped((keys) => store.targets(keys), { inFlight: 1, most: 256 });
    this.#looks = new Grouped((keys) => store.look(keys));
  }

  /**
   * Asks the ledger for access. Nothing is refused here that the ledger could refuse: refusals belong on record.
   * @throws ProblemError NOT_FOUND when there is no such record
   */
  async ask(caller: Caller, idempotencyKey: string, recordId: Buffer, body: QueryBody): Promise<OperationView> {
    const subject = await this.patients.subjectActor(caller, recordId);
    const actor = subject?.address ?? actorOf(caller).address;
    const purpose = Purpose[body.purpose];
    const target = await this.#targets.add({ recordId, actor, purpose });
    if (!target) throw new ProblemError('NOT_FOUND');
    return this.operations.perform(caller, {
      idempotencyKey,
      fingerprint: fingerprintOf('POST', `/v1/emrs/${recordId.toString('hex')}/queries`, body),
      type: 'query',
      buildsAlike: true,
      steps: [
        {
          network: target.network,
          build: () => ({
            code: Operation.QUERY,
            recordId,
            parameters: parameters.query({
              version: body.version ?? target.version,
              purpose,
              ttl: body.ttlSeconds,
              basis: basisOf(body) ?? target.basis,
            }),
            ...(subject ? { actor: subject } : {}),
          }),
        },
      ],
    });
  }

  /** The caller's own query. @throws ProblemError NOT_FOUND */
  async view(caller: Caller, requestId: Buffer): Promise<QueryView> {
    return present(await this.#look(caller, requestId, false));
  }

  /**
   * Content of the caller's own query, decrypted: only once its event is final, until it expires, and while what it stood on stands.
   * The release is in the access log before this resolves.
   * @throws ProblemError NOT_FOUND, CONFLICT (not final yet), DENIED_BY_LEDGER, FORBIDDEN, GONE, PEER_UNAVAILABLE
   */
  async release(caller: Caller, requestId: Buffer): Promise<Representation> {
    if (!caller.roles.includes('patient')) requireRoleOfToken(caller, Operation.QUERY);
    const row = await this.#look(caller, requestId, true);
    const operation = row.operationId;
    if (row.outcome === null || !row.final) {
      throw new ProblemError('CONFLICT', {
        detail: 'The query is not final yet.',
        retryAfter: 1,
        extensions: { operation },
      });
    }
    if (row.outcome !== 0) {
      throw new ProblemError('DENIED_BY_LEDGER', { extensions: { reason: reasonName(row.outcome), operation } });
    }
    if (row.expired) throw new ProblemError('GONE', { detail: 'The query has expired; ask again.' });
    if (!row.standing) {
      throw new ProblemError('FORBIDDEN', {
        detail: 'What this query stood on no longer holds.',
        extensions: { operation },
      });
    }
    const { mediaType, bytes } = await this.#open(caller, row);
    return {
      body: bytes,
      mediaType,
      headers: {
        location: `/v1/queries/${toHex(row.requestId)}`,
        'content-disposition': 'attachment',
        'x-operation-id': operation,
        'x-transaction-hash': toHex(row.transactionHash!),
        'x-event-id': eventId(row)!,
        'x-record-version': String(row.version),
      },
    };
  }

  async #look(caller: Caller, requestId: Buffer, release: boolean): Promise<QueryRow> {
    const account = this.patients.accountOf(caller) ?? null;
    const row = await this.#looks.add({ requestId, principal: caller.principal, account, release });
    if (!row) throw new ProblemError('NOT_FOUND');
    return row;
  }

  async #open(caller: Caller, row: QueryRow): Promise<{ mediaType: string; bytes: Buffer }> {
    const { recordId, requestId, network, custodian, contentHash, contentRequestId, kekId, wrappedDek } = row;
    const version = row.version!;
    if (!contentHash || !contentRequestId) throw new ProblemError('GONE');
    if (custodian !== null && custodian !== caller.hospital) {
      if (!this.foreign) throw new ProblemError('PEER_UNAVAILABLE');
      return this.foreign.fetch({ network, recordId, version, contentHash, custodian, requestId });
    }
    if (!kekId || !wrappedDek) throw new ProblemError('GONE', { detail: NOT_HERE });
    const key = { recordId, version, requestId: contentRequestId };
    try {
      const content = await this.contents.open(key, contentHash, { kekId, bytes: wrappedDek });
      if (!content) throw new ProblemError('GONE', { detail: NOT_HERE });
      return content;
    } catch (cause) {
      if (!(cause instanceof ContentDamaged)) throw cause;
      throw new ProblemError('INTERNAL', { detail: 'The stored content does not match the ledger.', cause });
    }
  }
}

function basisOf({ basis }: QueryBody): Buffer | undefined {
  if (!basis) return undefined;
  return 'grantId' in basis ? bytesOf(basis.grantId) : addressWord(bytesOf(basis.teamId));
}

function eventId(row: QueryRow): string | null {
  return row.sequence === null ? null : `ev_${row.network}_${row.sequence}`;
}

function present(row: QueryRow): QueryView {
  const asked = decodeParameters(Operation.QUERY, row.parameters);
  if (asked.name !== 'query') throw new RangeError('not the parameters of a query');
  const id = toHex(row.requestId);
  const confirmed = row.final && row.outcome === 0;
  return {
    id,
    recordId: toHex(row.recordId),
    network: row.network,
    version: asked.version,
    purpose: purposeName(asked.purpose),
    state: !row.final ? 'pending' : !confirmed ? 'denied' : row.expired ? 'expired' : 'confirmed',
    ...(row.final && row.outcome ? { reason: reasonName(row.outcome) } : {}),
    confirmedAt: confirmed ? toInstant(row.blockTime!) : null,
    expiresAt: confirmed ? toInstant(row.blockTime! + asked.ttl) : null,
    event: row.final ? eventId(row) : null,
    operation: row.operationId,
    links: {
      self: `/v1/queries/${id}`,
      content: `/v1/queries/${id}/content`,
      operation: `/v1/operations/${row.operationId}`,
    },
  };
}
