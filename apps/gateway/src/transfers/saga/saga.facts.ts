import { Inject, Injectable } from '@nestjs/common';
import { Operation, Role } from '../../../../../libs/contracts/src/operations.js';
import type { NetworksConfig } from '../../../../../libs/platform/src/networks.js';
import { NETWORKS } from '../../core.tokens.js';
import { ActorKeys } from '../../keys/actor-keys.js';
import { actRequestId, MOST_TRIES } from '../transfer-ids.js';
import { type MirroredTransfer, type TransferRow, TransfersStore } from '../transfers.store.js';
import type { IncomingFacts } from './incoming.saga.js';
import type { OutgoingFacts } from './outgoing.saga.js';
import { type ActTrace, SagaStore } from './saga.store.js';
import type { ActState, LedgerTransfer, SagaAct } from './saga.types.js';

/** Clocks of gateway and sealers may differ by this much: an expiry tried too early would be refused. */
const CLOCK_MARGIN_SECONDS = 5;
/** The source delivers as soon as its proposal is final; after this, the destination asks. */
const LATE_MS = 10_000;

/** An act as observed, and the request id its next try would have. */
export interface ObservedAct {
  state: ActState;
  requestId: Buffer;
  trace?: ActTrace;
}

export interface Observed<Facts> {
  facts: Facts;
  ledger?: MirroredTransfer;
  acts: Map<SagaAct | 'freeze' | 'accept', ObservedAct>;
  /** Who can relate the actor to the record on the global ledger, when that is wanting. */
  publisher?: Buffer;
  /** The version that publish would put on the global ledger next. */
  publishVersion: number;
}

/** Reads what a transfer's next action follows from. */
@Injectable()
export class SagaFacts {
  constructor(
    private readonly transfers: TransfersStore,
    private readonly store: SagaStore,
    private readonly keys: ActorKeys,
    @Inject(NETWORKS) private readonly networks: NetworksConfig,
  ) {}

  async outgoing(row: TransferRow): Promise<Observed<OutgoingFacts>> {
    const [ledger, { publication, publishVersion }, publisher, record] = await Promise.all([
      this.transfers.mirrored(this.networks.global, row.id),
      this.#publication(row),
      this.#helper(row),
      this.store.local(row.recordId),
    ]);
    const names: SagaAct[] = ['publish', 'relate', 'propose', 'complete', 'expire', 'unfreeze'];
    const acts = await this.#acts(row, names, publishVersion, [['freeze', row.id]]);
    const state = (act: SagaAct | 'freeze') => acts.get(act)!.state;
    return {
      facts: {
        freeze: state('freeze'),
        publication,
        publish: state('publish'),
        unrelated: publisher !== undefined,
        relate: state('relate'),
        propose: state('propose'),
        withdrawn: row.takeoverRequestId !== null,
        ...(ledger ? { transfer: ledgerFacts(ledger) } : {}),
        delivered: row.deliveredAt !== null,
        ...(row.packageHash ? { packageHash: row.packageHash } : {}),
        complete: state('complete'),
        expire: state('expire'),
        unfreeze: state('unfreeze'),
        frozen: record?.frozenBy?.equals(row.id) ?? false,
      },
      ...(ledger ? { ledger } : {}),
      ...(publisher ? { publisher } : {}),
      acts,
      publishVersion,
    };
  }

  async incoming(row: TransferRow): Promise<Observed<IncomingFacts>> {
    const ledger = await this.transfers.mirrored(this.networks.global, row.id);
    const acceptance = row.acceptanceRequestId;
    const acts = await this.#acts(row, ['open'], 0, acceptance ? [['accept', acceptance]] : []);
    return {
      facts: {
        ...(ledger ? { transfer: ledgerFacts(ledger) } : {}),
        received: row.hasPackage,
        late: Date.now() - row.createdAt.getTime() > LATE_MS,
        acceptance: acts.get('accept')?.state ?? 'none',
        open: acts.get('open')!.state,
      },
      ...(ledger ? { ledger } : {}),
      acts,
      publishVersion: 0,
    };
  }

  async #publication(row: TransferRow): Promise<{ publication: OutgoingFacts['publication']; publishVersion: number }> {
    if (this.networks.local === this.networks.global) return { publication: 'current', publishVersion: 0 };
    const published = await this.store.published(row.recordId);
    const publishVersion = (published?.version ?? 0) + 1;
    if (!published || published.version < row.version) return { publication: 'missing', publishVersion };
    const current = published.version === row.version && published.contentHash.equals(row.contentHash);
    return { publication: current ? 'current' : 'ahead', publishVersion };
  }

  /**
   * Whoever publishes a record is related to it there, and nobody else. What the local ledger allowed at the freeze is then brought about on the
   * global one by the publisher, whose key is here; where that isn't possible, the proposal goes to the ledger and is refused on record.
   */
  async #helper(row: TransferRow): Promise<Buffer | undefined> {
    const { local, global } = this.networks;
    if (local === global || !row.actor) return undefined;
    const [roles, { related, publisher }] = await Promise.all([
      this.store.rolesOf(global, row.actor),
      this.store.standing(row.recordId, row.actor),
    ]);
    const wanting = (roles & Role.CLINICIAN) !== 0 && (roles & Role.RECORDS_OFFICER) === 0 && !related;
    if (!wanting || !publisher || publisher.equals(row.actor)) return undefined;
    return (await this.keys.privateKeyOf(publisher)) ? publisher : undefined;
  }

  async #acts(
    row: TransferRow,
    names: SagaAct[],
    publishVersion: number,
    given: ['freeze' | 'accept', Buffer][],
  ): Promise<Observed<unknown>['acts']> {
    const before = row.takeovers * MOST_TRIES;
    const tries = (act: SagaAct) =>
      Array.from({ length: before + MOST_TRIES }, (_, attempt) =>
        actRequestId(row.id, act, attempt, act === 'publish' ? publishVersion : 0),
      );
    const ids = new Map(names.map((name) => [name, tries(name)]));
    const takeover = row.takeoverRequestId;
    const traces = await this.store.traces([
      ...[...ids.values()].flat(),
      ...given.map(([, id]) => id),
      ...(takeover ? [takeover] : []),
    ]);
    const traceOf = (id: Buffer) => traces.find(({ requestId }) => requestId.equals(id));
    const acts: Observed<unknown>['acts'] = new Map();
    for (const [name, id] of given) acts.set(name, observe([id], traceOf));
    for (const [name, attempts] of ids) {
      // An expiry may be refused because a clock was ahead: that one is tried again. So is what was refused to those before.
      const retried = name === 'expire' ? attempts.length : afresh.has(name) ? before : 0;
      const tried = observe(attempts, traceOf, retried);
      // Who took over may have brought the act that ends it all: then nothing is tried besides.
      const own = takeover && traceOf(takeover)?.code === personal[name] ? observe([takeover], traceOf) : undefined;
      const settled = tried.state === 'confirmed' || tried.state === 'pending';
      acts.set(name, own && own.state !== 'failed' && !settled ? own : tried);
    }
    return acts;
  }
}

/** Acts of the saga that a person may ask for when they take over. */
const personal: { readonly [act in SagaAct]?: number } = { unfreeze: Operation.UNFREEZE, open: Operation.OPEN };
/** Acts that are tried anew for whoever took over. A refused proposal isn't: they took over to end the transfer. */
const afresh: ReadonlySet<SagaAct> = new Set<SagaAct>(['complete', 'expire', 'unfreeze', 'open']);

/**
 * The first try that is neither withdrawn nor refused (of the first `retried` ones) speaks for the act.
 */
export function observe(attempts: Buffer[], traceOf: (id: Buffer) => ActTrace | undefined, retried = 0): ObservedAct {
  let last: ObservedAct | undefined;
  for (const [index, requestId] of attempts.entries()) {
    const trace = traceOf(requestId);
    const state = stateOf(trace);
    last = { state, requestId, ...(trace ? { trace } : {}) };
    if (state !== 'failed' && !(state === 'denied' && index < retried)) return last;
  }
  return last!;
}

function stateOf(trace: ActTrace | undefined): ActState {
  if (!trace) return 'none';
  if (trace.outcome !== null) {
    if (!trace.final) return 'pending';
    return trace.outcome === 0 ? 'confirmed' : 'denied';
  }
  return trace.phase === 'failed' || trace.phase === 'cancelled' ? 'failed' : 'pending';
}

function ledgerFacts(ledger: MirroredTransfer): LedgerTransfer {
  return {
    state: ledger.state,
    final: ledger.final,
    overdue: Date.now() / 1000 > ledger.expiresAt + CLOCK_MARGIN_SECONDS,
    ...(ledger.packageHash ? { packageHash: ledger.packageHash } : {}),
  };
}
