import { Inject, Injectable } from '@nestjs/common';
import { Operation } from '../../../../libs/contracts/src/operations.js';
import { parameters } from '../../../../libs/contracts/src/parameters.js';
import { toHex } from '../../../../libs/platform/src/bytes.js';
import { ProblemError } from '../../../../libs/platform/src/errors.js';
import type { NetworksConfig } from '../../../../libs/platform/src/networks.js';
import type { Caller } from '../auth/caller.js';
import { NETWORKS } from '../core.tokens.js';
import { bytesOf } from '../http/fields.js';
import { everywhere, fingerprintOf } from '../operations/act.js';
import { OperationsService, type Performed } from '../operations/operations.service.js';
import type { Admission, HospitalBody, HospitalUpdate } from './hospitals.schema.js';
import { type HospitalRow, HospitalStore } from './hospitals.store.js';

const NO_RECORD = Buffer.alloc(32);

@Injectable()
export class HospitalsService {
  constructor(
    private readonly store: HospitalStore,
    private readonly operations: OperationsService,
    @Inject(NETWORKS) private readonly networks: NetworksConfig,
  ) {}

  /** The registry of the global network. */
  async list(): Promise<HospitalBody[]> {
    return (await this.store.list(this.networks.global)).map(present);
  }

  /** This hospital's vote for admitting another one; with enough votes it is admitted. */
  admit(caller: Caller, idempotencyKey: string, admission: Admission): Promise<Performed> {
    const build = () => ({
      code: Operation.VOTE_ADMIT,
      recordId: NO_RECORD,
      actor: 'registrar' as const,
      parameters: parameters.voteAdmit({ id: admission.id, relayer: bytesOf(admission.relayer), ...keysOf(admission) }),
    });
    return this.operations.perform(caller, {
      idempotencyKey,
      fingerprint: fingerprintOf('POST', '/v1/admin/hospitals', admission),
      type: 'admit-hospital',
      steps: [{ network: 'global', build }],
    });
  }

  /**
   * This hospital's vote for suspending a hospital, or for taking a suspended one back. Once suspended, its acts are refused on the global
   * ledger and its gateway by the others. What the vote needs, and whether it can be, the ledger knows.
   */
  voteStatus(caller: Caller, idempotencyKey: string, id: number, active: boolean): Promise<Performed> {
    return this.operations.perform(caller, {
      idempotencyKey,
      fingerprint: fingerprintOf('POST', `/v1/admin/hospitals/${id}/${active ? 'reinstatement' : 'suspension'}`, {}),
      type: active ? 'reinstate-hospital' : 'suspend-hospital',
      steps: [
        {
          network: 'global',
          build: () => ({
            code: Operation.VOTE_STATUS,
            recordId: NO_RECORD,
            actor: 'registrar',
            parameters: parameters.voteStatus({ id, active }),
          }),
        },
      ],
    });
  }

  /** New keys or endpoint of this hospital, on each of its networks. @throws ProblemError FORBIDDEN for another hospital */
  updateKeys(caller: Caller, idempotencyKey: string, id: number, update: HospitalUpdate): Promise<Performed> {
    if (id !== caller.hospital) {
      throw new ProblemError('FORBIDDEN', { detail: 'Only a hospital itself changes its keys.' });
    }
    const build = () => ({
      code: Operation.UPDATE_HOSPITAL,
      recordId: NO_RECORD,
      actor: 'registrar' as const,
      parameters: parameters.updateHospital(keysOf(update)),
    });
    return this.operations.perform(caller, {
      idempotencyKey,
      fingerprint: fingerprintOf('POST', `/v1/admin/hospitals/${id}/keys`, update),
      type: 'update-hospital',
      steps: everywhere(this.networks, build),
    });
  }
}

function keysOf({ registrar, identityKey, transferKey, transferKeyId, endpointHash }: HospitalUpdate) {
  return {
    registrar: bytesOf(registrar),
    identityKey: bytesOf(identityKey),
    transferKey: bytesOf(transferKey),
    transferKeyId,
    endpointHash: bytesOf(endpointHash),
  };
}

function present(row: HospitalRow): HospitalBody {
  return {
    id: Number(row.id),
    network: row.network,
    active: row.active,
    registrar: toHex(row.registrar),
    identityKey: toHex(row.identity_key),
    transferKey: toHex(row.transfer_key),
    transferKeyId: Number(row.transfer_key_id),
    endpointHash: toHex(row.endpoint_hash),
    relayers: row.relayers.map(toHex),
  };
}
