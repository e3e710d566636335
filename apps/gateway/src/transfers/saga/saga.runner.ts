import { Inject, Injectable } from '@nestjs/common';
import { Operation, Role, reasonName } from '../../../../../libs/contracts/src/operations.js';
import { parameters } from '../../../../../libs/contracts/src/parameters.js';
import type { NetworksConfig } from '../../../../../libs/platform/src/networks.js';
import { NETWORKS } from '../../core.tokens.js';
import { GATEWAY_ENV, type GatewayEnv } from '../../gateway.env.js';
import { Publication } from '../../grants/publication.service.js';
import { Records } from '../../policy/records.service.js';
import { ReceivedCopies } from '../received-copies.service.js';
import { TransferDelivery } from '../transfer-delivery.js';
import { copyRecordId } from '../transfer-ids.js';
import { TransferPackages } from '../transfer-packages.service.js';
import { type TransferRow, TransfersStore } from '../transfers.store.js';
import { nextIncoming } from './incoming.saga.js';
import { nextOutgoing } from './outgoing.saga.js';
import { SagaActs, type SagaIntent } from './saga.acts.js';
import { type Observed, SagaFacts } from './saga.facts.js';
import { SagaStore, TransferTakenOver } from './saga.store.js';
import { type SagaAction, type Step, unfreezeOutcome } from './saga.types.js';

const ZERO_32 = Buffer.alloc(32);
const MODE_COPY = 0;
/** How long whoever proposes is related to the record on the global ledger: for the proposal, and no longer. */
const RELATION_SECONDS = 3600;
/** One claim does no more than this in a row; then another transfer gets its turn. */
const MOST_ACTIONS = 8;

type Act = Extract<SagaAction, { do: 'act' }>;
/** `actor`: who signs, when it isn't whose transfer it is. */
type Intent = Pick<SagaIntent, 'network' | 'type' | 'code' | 'parameters'> & { actor?: Buffer };

/** Looks at one transfer and does what follows, until it has to wait for a ledger, a peer or a person. */
@Injectable()
export class SagaRunner {
  constructor(
    private readonly transfers: TransfersStore,
    private readonly store: SagaStore,
    private readonly facts: SagaFacts,
    private readonly acts: SagaActs,
    private readonly packages: TransferPackages,
    private readonly delivery: TransferDelivery,
    private readonly copies: ReceivedCopies,
    private readonly publication: Publication,
    private readonly records: Records,
    @Inject(NETWORKS) private readonly networks: NetworksConfig,
    @Inject(GATEWAY_ENV) private readonly env: GatewayEnv,
  ) {}

  /** @returns what it came to: a wait or an end @throws StepFailed when an action was stopped; the transfer is as it was */
  async run(id: Buffer): Promise<Extract<SagaAction, { do: 'wait' | 'end' }>> {
    let last: SagaAction = { do: 'wait', step: 'announced' };
    for (let count = 0; count < MOST_ACTIONS; count++) {
      const row = await this.transfers.find(id);
      if (!row) throw new Error('a transfer row was taken away while its saga ran');
      try {
        last = row.direction === 'outgoing' ? await this.#outgoing(row) : await this.#incoming(row);
      } catch (error) {
        if (!(error instanceof TransferTakenOver)) throw error;
        continue; // what was decided was another's
      }
      if (last.do === 'wait' || last.do === 'end') return last;
    }
    return { do: 'wait', step: last.step };
  }

  async #outgoing(row: TransferRow): Promise<SagaAction> {
    const observed = await this.facts.outgoing(row);
    const action = nextOutgoing(observed.facts);
    await attempt(action, async () => {
      if (action.do === 'act') await this.#outgoingAct(row, observed, action);
      if (action.do === 'deliver') await this.delivery.deliver(row, await this.packages.outgoing(row));
    });
    if (action.do === 'end') {
      const { ledger } = observed;
      const ended = ledger && ledger.state !== 'proposed' && ledger.state !== 'accepted' ? ledger.state : 'cancelled';
      const outcome = action.step === 'done' ? ended : null;
      await this.store.end(row, {
        step: action.step,
        outcome,
        problem: action.reason ?? refusalOf(observed),
        receivedRecordId: null,
      });
    }
    return action;
  }

  async #incoming(row: TransferRow): Promise<SagaAction> {
    const observed = await this.facts.incoming(row);
    const action = nextIncoming(observed.facts);
    await attempt(action, async () => {
      if (action.do === 'act') await this.#open(row, observed);
      if (action.do === 'fetch') await this.delivery.fetch(row);
    });
    if (action.do === 'end') {
      const outcome = action.outcome ?? null;
      const receivedRecordId = outcome === 'completed' ? copyRecordId(this.env.HOSPITAL_ID, row.id) : null;
      await this.store.end(row, { step: action.step, outcome, problem: action.reason ?? null, receivedRecordId });
    }
    return action;
  }

  async #outgoingAct(row: TransferRow, observed: Observed<unknown>, action: Act): Promise<void> {
    const { actor, principal, recordId } = row;
    if (!actor) throw new Error('nobody is known who proposed this transfer');
    const { requestId } = observed.acts.get(action.act)!;
    const cause = await this.store.authContext(row.takeoverRequestId ?? row.id);
    const intent = await this.#intent(row, observed, action, actor);
    await this.acts.accept({ requestId, recordId, actor, principal, cause, ...intent }, (manager) =>
      this.store.requireSame(manager, row),
    );
  }

  async #intent(row: TransferRow, observed: Observed<unknown>, { act, outcome }: Act, actor: Buffer): Promise<Intent> {
    const { id: transferId, version, contentHash } = row;
    const frozenIn = observed.acts.get('freeze')?.trace?.blockHash ?? ZERO_32;
    switch (act) {
      case 'publish':
        return this.#publish(row, observed.publishVersion, actor, frozenIn);
      case 'relate':
        if (!observed.publisher) throw new Error('nobody can relate the actor to the record');
        return {
          network: 'global',
          type: 'transfer-relate',
          code: Operation.RELATE,
          parameters: parameters.relate({ party: actor, duration: RELATION_SECONDS }),
          actor: observed.publisher,
        };
      case 'propose':
        return {
          network: 'global',
          type: 'transfer-propose',
          code: Operation.PROPOSE,
          parameters: parameters.propose({
            transferId,
            toHospital: row.peerHospital,
            version,
            contentHash,
            mode: MODE_COPY,
            ttl: row.ttl,
            proof: frozenIn,
          }),
        };
      case 'complete':
        return {
          network: 'global',
          type: 'transfer-complete',
          code: Operation.COMPLETE,
          parameters: parameters.complete({ transferId }),
        };
      case 'expire':
        return {
          network: 'global',
          type: 'transfer-expire',
          code: Operation.EXPIRE,
          parameters: parameters.expire({ transferId }),
        };
      case 'unfreeze': {
        const proof = observed.ledger?.stateBlockHash ?? observed.acts.get('propose')?.trace?.blockHash ?? ZERO_32;
        return {
          network: 'local',
          type: 'transfer-unfreeze',
          code: Operation.UNFREEZE,
          parameters: parameters.unfreeze({ transferId, outcome: unfreezeOutcome[outcome ?? 'cancelled'], proof }),
        };
      }
      case 'open':
        throw new Error('the source of a transfer opens nothing');
    }
  }

  /** Brings the next version that the global ledger lacks there: the first by opening the record, later ones by amending it. */
  async #publish(row: TransferRow, version: number, actor: Buffer, frozenIn: Buffer): Promise<Intent> {
    const { global } = this.networks;
    const isClinician = async (address: Buffer) => ((await this.store.rolesOf(global, address)) & Role.CLINICIAN) !== 0;
    const record = await this.records.require(row.recordId);
    const [unpublished, acting] = await Promise.all([this.publication.unpublished(record), isClinician(actor)]);
    const missing = unpublished?.missing[0];
    if (!unpublished || missing?.version !== version) throw new Error('the mirror has no such version of the record');
    const common = { network: 'global', type: 'transfer-publish', code: missing.code } as const;
    const publisher = this.publication.publisherOf(unpublished, acting ? actor : undefined);
    const able = (await isClinician(publisher)) && (await this.acts.holds(publisher));
    if (able) return { ...common, parameters: missing.parameters, actor: publisher };
    if (acting || version > 1) return { ...common, parameters: missing.parameters };
    // A records officer opens only what comes from elsewhere: here the local ledger, and the block that froze the record there says so.
    const { subject, level } = record;
    const { contentHash } = missing;
    const origin = { origin: row.id, originBlock: frozenIn };
    return { ...common, parameters: parameters.open({ contentHash, subject, level, ...origin }) };
  }

  /** Opens the copy as a record of this hospital, its content, key and patient link in the same commit. */
  async #open(row: TransferRow, observed: Observed<unknown>): Promise<void> {
    const { requestId } = observed.acts.get('open')!;
    const { ledger } = observed;
    const [acceptance, asked] = await Promise.all([
      this.store.acceptor(row.id, row.recordId),
      row.acceptanceRequestId ? this.store.authContext(row.acceptanceRequestId) : undefined,
    ]);
    if (!ledger || !acceptance) throw new Error('the mirror lacks part of the transfer');
    const copy = await this.copies.prepare(row, ledger.stateBlockHash);
    // Two people may have accepted; the ledger says whose acceptance it was. Unless somebody else took over since.
    const taker = row.takeoverRequestId ? await this.store.authContext(row.takeoverRequestId) : undefined;
    const actor = taker && row.actor ? row.actor : acceptance.actor;
    const accepted = { authContext: acceptance.authContext, ...(asked ? { operationId: asked.operationId } : {}) };
    await this.acts.accept(
      {
        requestId,
        network: 'local',
        type: 'transfer-open',
        code: Operation.OPEN,
        recordId: copy.recordId,
        parameters: copy.parameters,
        actor,
        principal: row.principal,
        cause: taker ?? accepted,
      },
      async (manager) => {
        await this.store.requireSame(manager, row);
        await copy.keep(manager, requestId, actor);
      },
    );
  }
}

/** An action was stopped; it is to be tried again. */
export class StepFailed extends Error {
  constructor(
    readonly step: Step,
    override readonly cause: unknown,
  ) {
    super(`The step "${step}" of a transfer was stopped.`, { cause });
    this.name = 'StepFailed';
  }
}

async function attempt(action: SagaAction, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (cause) {
    if (cause instanceof TransferTakenOver) throw cause;
    throw new StepFailed(action.step, cause);
  }
}

/** Why a transfer was unwound before it was proposed. */
function refusalOf({ acts }: Observed<unknown>): string | null {
  for (const act of ['publish', 'relate', 'propose'] as const) {
    const outcome = acts.get(act)?.trace?.outcome;
    if (outcome) return `The ledger refused to ${act}: ${reasonName(outcome)}.`;
  }
  return null;
}
