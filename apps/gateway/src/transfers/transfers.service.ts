import { Inject, Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import { Operation } from '../../../../libs/contracts/src/operations.js';
import { parameters } from '../../../../libs/contracts/src/parameters.js';
import { ProblemError } from '../../../../libs/platform/src/errors.js';
import type { NetworksConfig } from '../../../../libs/platform/src/networks.js';
import { actorOf, type Caller } from '../auth/caller.js';
import { NETWORKS } from '../core.tokens.js';
import { fingerprintOf } from '../operations/act.js';
import { OperationsService, type Performed } from '../operations/operations.service.js';
import { PeersService } from '../peering/peers.service.js';
import { Records } from '../policy/records.service.js';
import { SagaDriver } from './saga/saga.driver.js';
import {
  type CancelBody,
  cancellationReasons,
  type ProposeBody,
  type RejectBody,
  rejectionReasons,
} from './transfer.schema.js';
import { TransferDelivery } from './transfer-delivery.js';
import { PackageInvalid } from './transfer-package.js';
import { TransferPackages } from './transfer-packages.service.js';
import { type Takeover, TransferTakeover } from './transfer-takeover.service.js';
import { TransferViews } from './transfer-views.service.js';
import { type MirroredTransfer, type TransferRow, TransfersStore } from './transfers.store.js';

/** What people ask of a transfer. What follows from it is the saga's. */
@Injectable()
export class TransfersService {
  constructor(
    private readonly operations: OperationsService,
    private readonly records: Records,
    private readonly peers: PeersService,
    private readonly store: TransfersStore,
    private readonly views: TransferViews,
    private readonly packages: TransferPackages,
    private readonly delivery: TransferDelivery,
    private readonly takeover: TransferTakeover,
    private readonly driver: SagaDriver,
    @Inject(NETWORKS) private readonly networks: NetworksConfig,
  ) {}

  /**
   * Freezes the record; with the freeze in the table, the saga goes on by itself. The transfer's id is the act's request id.
   * @throws ProblemError NOT_FOUND, INVALID_INPUT (no such hospital), CONFLICT (self-held key, level)
   */
  async propose(caller: Caller, idempotencyKey: string, recordId: Buffer, body: ProposeBody): Promise<Performed> {
    const actor = heldActor(caller);
    await this.records.require(recordId);
    let version = 0;
    let contentHash: Buffer;
    const operation = await this.operations.perform(caller, {
      idempotencyKey,
      fingerprint: fingerprintOf('POST', `/v1/emrs/${recordId.toString('hex')}/transfers`, body),
      type: 'transfer',
      steps: [
        {
          network: 'local',
          build: async (requestId) => {
            const record = await this.records.require(recordId);
            await this.#requireHospital(caller, body.toHospital);
            if (record.level >= 2) {
              throw new ProblemError('CONFLICT', {
                detail: 'Transfers of records of level 2 and 3 need approvals, which are not supported yet.',
              });
            }
            version = record.version;
            contentHash = record.contentHash;
            return {
              code: Operation.FREEZE,
              recordId,
              parameters: parameters.freeze({ transferId: requestId, version, contentHash }),
            };
          },
        },
      ],
      inSameCommit: async (manager, [id]) =>
        this.store.insertOutgoing(manager, {
          id: id!,
          recordId,
          peerHospital: body.toHospital,
          version,
          contentHash,
          actor,
          principal: caller.principal,
          reason: body.reason ?? null,
          ttl: body.ttlSeconds,
        }),
    });
    this.driver.kick();
    return operation;
  }

  /**
   * Accepts on behalf of this hospital, once the package has been opened and proven: its hash goes on the ledger. Where whoever accepted before
   * can't open the copy, the caller opens it instead.
   * @throws ProblemError NOT_FOUND, CONFLICT (not proposed yet, no or no valid package, self-held key)
   */
  async accept(caller: Caller, idempotencyKey: string, id: Buffer): Promise<Performed> {
    const actor = heldActor(caller);
    let ledger: MirroredTransfer;
    const operation = await this.#act(
      caller,
      idempotencyKey,
      id,
      'acceptance',
      {},
      {
        takeover: (row) => validly(() => this.takeover.ofDestination(caller, row)),
        build: async (row) => {
          ledger = await this.#proposed(row);
          return {
            code: Operation.ACCEPT,
            parameters: parameters.accept({ transferId: id, packageHash: await this.#provenHash(row) }),
          };
        },
        inSameCommit: async (manager, requestId) => {
          if (ledger.state !== 'proposed') return; // on its way to a refusal: nothing of it is to be remembered
          await this.store.noteAcceptance(manager, id, { requestId, actor, principal: caller.principal });
        },
      },
    );
    this.driver.kick();
    return operation;
  }

  /** @throws ProblemError NOT_FOUND, CONFLICT (not proposed yet) */
  reject(caller: Caller, idempotencyKey: string, id: Buffer, body: RejectBody): Promise<Performed> {
    return this.#act(caller, idempotencyKey, id, 'rejection', body, {
      build: async (row) => {
        await this.#proposed(row);
        const reason = rejectionReasons[body.reason];
        return { code: Operation.REJECT, parameters: parameters.reject({ transferId: id, reason }) };
      },
    });
  }

  /**
   * Takes an offer back. A records officer does more: they take the transfer over, whatever holds it up.
   * @throws ProblemError NOT_FOUND, CONFLICT (not proposed yet, or a step is under way)
   */
  async cancel(caller: Caller, idempotencyKey: string, id: Buffer, body: CancelBody): Promise<Performed> {
    const operation = await this.#act(caller, idempotencyKey, id, 'cancellation', body, {
      takeover: (row) => this.takeover.ofSource(caller, row),
      build: async (row) => {
        await this.#proposed(row);
        const reason = cancellationReasons[body.reason];
        return { code: Operation.CANCEL, parameters: parameters.cancel({ transferId: id, reason }) };
      },
    });
    this.driver.kick();
    return operation;
  }

  async #act(
    caller: Caller,
    idempotencyKey: string,
    id: Buffer,
    what: string,
    body: unknown,
    act: {
      takeover?(row: TransferRow): Promise<Takeover | undefined>;
      build(row: TransferRow): Promise<{ code: number; parameters: Buffer }>;
      inSameCommit?(manager: EntityManager, requestId: Buffer): Promise<void>;
    },
  ): Promise<Performed> {
    actorOf(caller);
    const row = await this.views.require(id);
    // Which ledger it is for follows from the present state, so a replay must find out where it went the first time.
    const before = act.takeover && (await this.operations.acceptedOn(caller, idempotencyKey));
    const takeover = before === undefined ? await act.takeover?.(row) : undefined;
    const inSameCommit = takeover ? takeover.inSameCommit : act.inSameCommit;
    return this.operations.perform(caller, {
      idempotencyKey,
      fingerprint: fingerprintOf('POST', `/v1/transfers/${id.toString('hex')}/${what}`, body),
      type: `transfer-${what}`,
      steps: [
        {
          network: before ?? (takeover?.act ? 'local' : 'global'),
          build: async () => takeover?.act ?? { recordId: row.recordId, ...(await act.build(row)) },
        },
      ],
      ...(inSameCommit ? { inSameCommit: (manager, [requestId]) => inSameCommit(manager, requestId!) } : {}),
    });
  }

  /** Which states allow which step is the ledger's to say; but it can't refuse on record what it doesn't know. */
  async #proposed(row: TransferRow): Promise<MirroredTransfer> {
    const ledger = await this.store.mirrored(this.networks.global, row.id);
    if (!ledger) throw new ProblemError('CONFLICT', { detail: 'The transfer is not proposed yet.', retryAfter: 2 });
    return ledger;
  }

  async #provenHash(row: TransferRow): Promise<Buffer> {
    return validly(async () => {
      if (row.direction === 'incoming' && !row.hasPackage) await this.delivery.fetch(row);
      const { packageHash } = await this.views.require(row.id);
      const bytes = await this.store.package(row.id);
      if (bytes && row.direction === 'incoming') await this.packages.incoming(row, bytes);
      if (packageHash) return packageHash;
      throw new ProblemError('CONFLICT', { detail: 'The package has not arrived yet.', retryAfter: 2 });
    });
  }

  async #requireHospital(caller: Caller, hospital: number): Promise<void> {
    const wrong = (message: string) =>
      new ProblemError('INVALID_INPUT', { errors: [{ pointer: '/toHospital', message }] });
    if (hospital === caller.hospital) throw wrong('this hospital itself');
    if (!(await this.peers.registered(hospital))) throw wrong('no active hospital of the registry has this number');
  }
}

/** @throws ProblemError CONFLICT for a package that isn't valid */
async function validly<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof PackageInvalid)) throw error;
    throw new ProblemError('CONFLICT', { detail: `${error.message} Reject the transfer.`, cause: error });
  }
}

/**
 * The caller's address, when this gateway keeps its key: the steps that follow are signed with it.
 * @throws ProblemError FORBIDDEN (no actor), CONFLICT (self-held key)
 */
function heldActor(caller: Caller): Buffer {
  const { address, custody } = actorOf(caller);
  if (custody === 'gateway') return address;
  throw new ProblemError('CONFLICT', {
    detail:
      'A transfer goes on in steps that the gateway signs for whoever began it, and you hold your own key. ' +
      'Ask a colleague whose key the gateway keeps, such as a records officer.',
  });
}
