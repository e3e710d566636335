import { Inject, Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import { Operation, Role } from '../../../../libs/contracts/src/operations.js';
import { parameters } from '../../../../libs/contracts/src/parameters.js';
import { ProblemError } from '../../../../libs/platform/src/errors.js';
import type { NetworksConfig } from '../../../../libs/platform/src/networks.js';
import type { Caller } from '../auth/caller.js';
import { NETWORKS } from '../core.tokens.js';
import { ReceivedCopies } from './received-copies.service.js';
import { endingOf } from './saga/outgoing.saga.js';
import { type ObservedAct, SagaFacts } from './saga/saga.facts.js';
import { SagaStore } from './saga/saga.store.js';
import { type SagaAct, unfreezeOutcome } from './saga/saga.types.js';
import { TransferDelivery } from './transfer-delivery.js';
import { type TransferRow, TransfersStore } from './transfers.store.js';

/** How somebody takes a transfer over: what they sign themselves, when it isn't the act that the route is named after, and what it changes. */
export interface Takeover {
  act?: { code: number; recordId: Buffer; parameters: Buffer };
  /** In the commit that stores their act. @throws ProblemError CONFLICT when the transfer moved on meanwhile */
  inSameCommit(manager: EntityManager, requestId: Buffer): Promise<void>;
}

const ZERO_32 = Buffer.alloc(32);

/** Transfers whose actor can't go on (suspended, no longer related, key lost), brought to their end by somebody else. */
@Injectable()
export class TransferTakeover {
  constructor(
    private readonly facts: SagaFacts,
    private readonly sagas: SagaStore,
    private readonly transfers: TransfersStore,
    private readonly copies: ReceivedCopies,
    private readonly delivery: TransferDelivery,
    @Inject(NETWORKS) private readonly networks: NetworksConfig,
  ) {}

  /**
   * A records officer's cancellation of a transfer of this hospital. Undefined: for others, and where nothing is left to end.
   * @throws ProblemError CONFLICT while an act is under way that decides how it can end
   */
  async ofSource(caller: Caller, row: TransferRow): Promise<Takeover | undefined> {
    if (row.direction !== 'outgoing' || !(await this.#isOfficer(caller))) return undefined;
    const { facts, ledger, acts } = await this.facts.outgoing(row);
    const ending = endingOf(facts);
    if (ending === 'ended') return undefined;
    if (ending === 'later') {
      throw new ProblemError('CONFLICT', { detail: 'A step of the transfer is under way.', retryAfter: 2 });
    }
    if (ending === 'cancel') return { inSameCommit: this.#taking(caller, row, []) };
    const outcome = ledger && ledger.state !== 'proposed' && ledger.state !== 'accepted' ? ledger.state : 'cancelled';
    const proof = ledger?.stateBlockHash ?? acts.get('propose')?.trace?.blockHash ?? ZERO_32;
    const unfreeze = parameters.unfreeze({ transferId: row.id, outcome: unfreezeOutcome[outcome], proof });
    return {
      act: { code: Operation.UNFREEZE, recordId: row.recordId, parameters: unfreeze },
      inSameCommit: this.#taking(caller, row, untried(acts, ['propose', 'unfreeze'])),
    };
  }

  /**
   * Another acceptance of a transfer to this hospital, when whoever accepted it can't open the copy. Undefined: where nothing is stuck.
   * @throws ProblemError PEER_UNAVAILABLE, PEER_TIMEOUT; PackageInvalid
   */
  async ofDestination(caller: Caller, row: TransferRow): Promise<Takeover | undefined> {
    if (row.direction !== 'incoming') return undefined;
    const { facts, ledger, acts } = await this.facts.incoming(row);
    const stuck = facts.open === 'denied' || facts.open === 'failed' || (facts.open === 'none' && row.problem !== null);
    if (!ledger?.final || ledger.state !== 'completed' || !stuck) return undefined;
    if (!row.hasPackage) await this.delivery.fetch(row);
    const { recordId, parameters: open, keep } = await this.copies.prepare(row, ledger.stateBlockHash);
    const take = this.#taking(caller, row, untried(acts, ['open']));
    return {
      act: { code: Operation.OPEN, recordId, parameters: open },
      inSameCommit: async (manager, requestId) => {
        await take(manager, requestId);
        await keep(manager, requestId, caller.actor!.address);
      },
    };
  }

  /** By the ledgers' word: a token's role alone would let a transfer fall into hands that can't end it either. */
  async #isOfficer({ actor, roles }: Caller): Promise<boolean> {
    if (actor?.custody !== 'gateway' || !roles.includes('records-officer')) return false;
    const networks = [this.networks.local, this.networks.global];
    const held = await Promise.all(networks.map((network) => this.sagas.rolesOf(network, actor.address)));
    return held.every((bits) => (bits & Role.RECORDS_OFFICER) !== 0);
  }

  #taking(caller: Caller, { id, takeovers }: TransferRow, unless: Buffer[]): Takeover['inSameCommit'] {
    const { actor, principal } = caller;
    return async (manager, requestId) => {
      const taker = { actor: actor!.address, principal, requestId, seen: takeovers, unless };
      if (await this.transfers.takeOver(manager, id, taker)) return;
      throw new ProblemError('CONFLICT', { detail: 'The transfer has moved on meanwhile.', retryAfter: 1 });
    };
  }
}

/** Request ids under which the saga might do these acts at this moment. */
function untried(acts: Map<string, ObservedAct>, names: SagaAct[]): Buffer[] {
  return names.flatMap((name) => {
    const act = acts.get(name);
    return act?.state === 'none' ? [act.requestId] : [];
  });
}
