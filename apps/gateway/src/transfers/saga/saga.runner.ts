import { Inject, Injectable } from '@nestjs/common';
import { addressOf } from '../../../../../libs/chain-client/src/keys/secp256k1.js';
import { Operation, Role, reasonName } from '../../../../../libs/contracts/src/operations.js';
import { parameters } from '../../../../../libs/contracts/src/parameters.js';
import type { NetworksConfig } from '../../../../../libs/platform/src/networks.js';
import { Vault } from '../../../../../libs/vault/src/vault.js';
import { RecordContents } from '../../contents/record-contents.service.js';
import { NETWORKS } from '../../core.tokens.js';
import { Patients } from '../../emrs/patients.service.js';
import { GATEWAY_ENV, type GatewayEnv } from '../../gateway.env.js';
import { TransferDelivery } from '../transfer-delivery.js';
import { copyRecordId } from '../transfer-ids.js';
import { TransferPackages } from '../transfer-packages.service.js';
import { type TransferRow, TransfersStore } from '../transfers.store.js';
import { nextIncoming } from './incoming.saga.js';
import { nextOutgoing } from './outgoing.saga.js';
import { SagaActs, type SagaIntent } from './saga.acts.js';
import { type Observed, SagaFacts } from './saga.facts.js';
import { SagaStore } from './saga.store.js';
import { type SagaAction, type Step, unfreezeOutcome } from './saga.types.js';

const ZERO_32 = Buffer.alloc(32);
const MODE_COPY = 0;
/** One claim does no more than this in a row; then another transfer gets its turn. */
const MOST_ACTIONS = 8;

type Act = Extract<SagaAction, { do: 'act' }>;
type Common = Pick<SagaIntent, 'requestId' | 'recordId' | 'principal' | 'cause'> & { actor: Buffer };

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
    private readonly contents: RecordContents,
    private readonly patients: Patients,
    private readonly vault: Vault,
    @Inject(NETWORKS) private readonly networks: NetworksConfig,
    @Inject(GATEWAY_ENV) private readonly env: GatewayEnv,
  ) {}

  /** @returns what it came to: a wait or an end @throws StepFailed when an action was stopped; the transfer is as it was */
  async run(id: Buffer): Promise<Extract<SagaAction, { do: 'wait' | 'end' }>> {
    let last: SagaAction = { do: 'wait', step: 'announced' };
    for (let count = 0; count < MOST_ACTIONS; count++) {
      const row = await this.transfers.find(id);
      if (!row) throw new Error('a transfer row was taken away while its saga ran');
      last = row.direction === 'outgoing' ? await this.#outgoing(row) : await this.#incoming(row);
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
      await this.store.end(row.id, {
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
      await this.store.end(row.id, { step: action.step, outcome, problem: action.reason ?? null, receivedRecordId });
    }
    return action;
  }

  async #outgoingAct(row: TransferRow, observed: Observed<unknown>, action: Act): Promise<void> {
    if (!row.actor) throw new Error('nobody is known who proposed this transfer');
    const common: Common = {
      requestId: observed.acts.get(action.act)!.requestId,
      recordId: row.recordId,
      actor: row.actor,
      principal: row.principal,
      cause: await this.store.authContext(row.id),
    };
    await this.acts.accept({ ...common, ...(await this.#intent(row, observed, action, common)) });
  }

  async #intent(
    row: TransferRow,
    observed: Observed<unknown>,
    { act, outcome }: Act,
    { actor }: Common,
  ): Promise<Pick<SagaIntent, 'network' | 'type' | 'code' | 'parameters'>> {
    const { id: transferId, version, contentHash } = row;
    const frozenIn = observed.acts.get('freeze')?.trace?.blockHash ?? ZERO_32;
    switch (act) {
      case 'publish':
        return this.#publish(row, observed.publishVersion, actor, frozenIn);
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
  async #publish(
    row: TransferRow,
    version: number,
    actor: Buffer,
    frozenIn: Buffer,
  ): Promise<Pick<SagaIntent, 'network' | 'type' | 'code' | 'parameters'>> {
    const [record, versions, roles] = await Promise.all([
      this.store.local(row.recordId),
      this.store.localVersions(row.recordId),
      this.store.rolesOf(this.networks.global, actor),
    ]);
    const published = versions.find((one) => one.version === version);
    if (!record || !published) throw new Error('the mirror has no such version of the record');
    const { contentHash } = published;
    const common = { network: 'global', type: 'transfer-publish' } as const;
    if (version > 1) {
      const amend = parameters.amend({ expectedVersion: version - 1, contentHash });
      return { ...common, code: Operation.AMEND, parameters: amend };
    }
    // A records officer opens only what comes from elsewhere: here the local ledger, and the block that froze the record there says so.
    const clinician = (roles & Role.CLINICIAN) !== 0;
    const origin = clinician ? { origin: ZERO_32, originBlock: ZERO_32 } : { origin: row.id, originBlock: frozenIn };
    const { subject, level } = record;
    return { ...common, code: Operation.OPEN, parameters: parameters.open({ contentHash, subject, level, ...origin }) };
  }

  /** Opens the copy as a record of this hospital, its content, key and patient link in the same commit. */
  async #open(row: TransferRow, observed: Observed<unknown>): Promise<void> {
    const { requestId } = observed.acts.get('open')!;
    const [bytes, acceptance, published, asked] = await Promise.all([
      this.transfers.package(row.id),
      this.store.acceptor(row.id, row.recordId),
      this.store.published(row.recordId),
      row.acceptanceRequestId ? this.store.authContext(row.acceptanceRequestId) : undefined,
    ]);
    if (!bytes || !acceptance || !published || !observed.ledger)
      throw new Error('the mirror lacks part of the transfer');
    const { sealed, patient } = await this.packages.incoming(row, bytes);
    const recordId = copyRecordId(this.env.HOSPITAL_ID, row.id);
    const subjectKey = this.vault.subjectKey(requestId);
    const subject = addressOf(subjectKey);
    await this.acts.accept(
      {
        requestId,
        network: 'local',
        type: 'transfer-open',
        code: Operation.OPEN,
        recordId,
        parameters: parameters.open({
          contentHash: sealed.contentHash,
          subject,
          level: published.level,
          origin: row.id,
          originBlock: observed.ledger.stateBlockHash,
        }),
        // Two people may have accepted; the ledger says whose acceptance it was.
        actor: acceptance.actor,
        principal: row.principal,
        cause: { authContext: acceptance.authContext, ...(asked ? { operationId: asked.operationId } : {}) },
      },
      async (manager) => {
        await this.contents.keep(manager, { recordId, version: 1, requestId }, sealed);
        await this.patients.attach(manager, { recordId, subject, subjectKey }, patient);
        await this.store.noteCopy(manager, row.id, recordId, acceptance.actor);
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
    throw new StepFailed(action.step, cause);
  }
}

/** Why a transfer was unwound before it was proposed. */
function refusalOf({ acts }: Observed<unknown>): string | null {
  for (const act of ['publish', 'propose'] as const) {
    const outcome = acts.get(act)?.trace?.outcome;
    if (outcome) return `The ledger refused to ${act}: ${reasonName(outcome)}.`;
  }
  return null;
}
