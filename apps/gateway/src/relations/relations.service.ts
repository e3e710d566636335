import { Injectable } from '@nestjs/common';
import { Operation } from '../../../../libs/contracts/src/operations.js';
import { parameters } from '../../../../libs/contracts/src/parameters.js';
import { toHex } from '../../../../libs/platform/src/bytes.js';
import { ProblemError } from '../../../../libs/platform/src/errors.js';
import { AccessLog } from '../audit/access-log.service.js';
import { actorOf, type Caller } from '../auth/caller.js';
import { bytesOf, toInstant } from '../http/fields.js';
import { fingerprintOf } from '../operations/act.js';
import { OperationsService, type OperationView } from '../operations/operations.service.js';
import { Records } from '../policy/records.service.js';
import type { RelationBody, RelationView } from './relations.schema.js';
import { type RelationRow, RelationsStore } from './relations.store.js';

@Injectable()
export class RelationsService {
  constructor(
    private readonly store: RelationsStore,
    private readonly records: Records,
    private readonly operations: OperationsService,
    private readonly accessLog: AccessLog,
  ) {}

  /** @throws ProblemError NOT_FOUND when there is no such record */
  async start(caller: Caller, idempotencyKey: string, recordId: Buffer, body: RelationBody): Promise<OperationView> {
    actorOf(caller);
    const { network } = await this.records.require(recordId);
    const party = bytesOf('actor' in body.party ? body.party.actor : body.party.team);
    return this.operations.perform(caller, {
      idempotencyKey,
      fingerprint: fingerprintOf('POST', `/v1/emrs/${recordId.toString('hex')}/relations`, body),
      type: 'relate',
      steps: [
        {
          network,
          build: () => ({
            code: Operation.RELATE,
            recordId,
            parameters: parameters.relate({ party, duration: body.durationSeconds ?? 0 }),
          }),
        },
      ],
    });
  }

  /** @throws ProblemError NOT_FOUND when there is none, or the caller may not see its record */
  async view(caller: Caller, relationId: Buffer): Promise<RelationView> {
    const relation = await this.store.find(relationId);
    if (!relation) throw new ProblemError('NOT_FOUND');
    await this.records.requireVisible(caller, relation.recordId);
    await this.accessLog.record(caller, { kind: 'relation', recordId: relation.recordId, requestId: relationId });
    return present(relationId, relation);
  }

  /** @throws ProblemError NOT_FOUND when no relation with this id stands in the mirror */
  async end(caller: Caller, idempotencyKey: string, relationId: Buffer): Promise<OperationView> {
    actorOf(caller);
    const relation = await this.store.find(relationId);
    if (!relation) throw new ProblemError('NOT_FOUND');
    const { network, recordId, party } = relation;
    return this.operations.perform(caller, {
      idempotencyKey,
      fingerprint: fingerprintOf('POST', `/v1/relations/${relationId.toString('hex')}/ending`, null),
      type: 'unrelate',
      steps: [
        {
          network,
          build: () => ({ code: Operation.UNRELATE, recordId, parameters: parameters.unrelate({ party }) }),
        },
      ],
    });
  }
}

function present(id: Buffer, { recordId, network, party, until, startedAt, endedAt }: RelationRow): RelationView {
  const expired = until !== 0 && until <= Date.now() / 1000;
  return {
    id: toHex(id),
    recordId: toHex(recordId),
    network,
    party: toHex(party),
    startedAt: toInstant(startedAt),
    until: until === 0 ? null : toInstant(until),
    endedAt: endedAt === null ? null : toInstant(endedAt),
    state: endedAt !== null ? 'ended' : expired ? 'expired' : 'active',
  };
}
