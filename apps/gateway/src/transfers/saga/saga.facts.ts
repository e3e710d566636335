import { Inject, Injectable } from '@nestjs/common';
import type { NetworksConfig } from '../../../../../libs/platform/src/networks.js';
import { NETWORKS } from '../../core.tokens.js';
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
  /** The version that publish would put on the global ledger next. */
  publishVersion: number;
}

/** Reads what a transfer's next action follows from. */
@Injectable()
export class SagaFacts {
  constructor(
    private readonly transfers: TransfersStore,
    private readonly store: SagaStore,
    @Inject(NETWORKS) private readonly networks: NetworksConfig,
  ) {}

  async outgoing(row: TransferRow): Promise<Observed<OutgoingFacts>> {
    const [ledger, { publication, publishVersion }] = await Promise.all([
      this.transfers.mirrored(this.networks.global, row.id),
      this.#publication(row),
    ]);
    const acts = await this.#acts(row, ['publish', 'propose', 'complete', 'expire', 'unfreeze'], publishVersion, [
      ['freeze', row.id],
    ]);
    const state = (act: SagaAct | 'freeze') => acts.get(act)!.state;
    return {
      facts: {
        freeze: state('freeze'),
        publication,
        publish: state('publish'),
        propose: state('propose'),
        ...(ledger ? { transfer: ledgerFacts(ledger) } : {}),
        delivered: row.deliveredAt !== null,
        ...(row.packageHash ? { packageHash: row.packageHash } : {}),
        complete: state('complete'),
        expire: state('expire'),
        unfreeze: state('unfreeze'),
      },
      ...(ledger ? { ledger } : {}),
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

  async #acts(
    row: TransferRow,
    names: SagaAct[],
    publishVersion: number,
    given: ['freeze' | 'accept', Buffer][],
  ): Promise<Observed<unknown>['acts']> {
    const tries = (act: SagaAct) =>
      Array.from({ length: MOST_TRIES }, (_, attempt) =>
        actRequestId(row.id, act, attempt, act === 'publish' ? publishVersion : 0),
      );
    const ids = new Map(names.map((name) => [name, tries(name)]));
    const traces = await this.store.traces([...[...ids.values()].flat(), ...given.map(([, id]) => id)]);
    const traceOf = (id: Buffer) => traces.find(({ requestId }) => requestId.equals(id));
    const acts: Observed<unknown>['acts'] = new Map();
    for (const [name, id] of given) acts.set(name, observe([id], traceOf, false));
    // An expiry may be refused because a clock was ahead: that one is tried again.
    for (const [name, attempts] of ids) acts.set(name, observe(attempts, traceOf, name === 'expire'));
    return acts;
  }
}

/** The first try that is neither withdrawn nor (where `retryDenied`) refused speaks for the act. */
export function observe(
  attempts: Buffer[],
  traceOf: (id: Buffer) => ActTrace | undefined,
  retryDenied: boolean,
): ObservedAct {
  let last: ObservedAct | undefined;
  for (const requestId of attempts) {
    const trace = traceOf(requestId);
    const state = stateOf(trace);
    last = { state, requestId, ...(trace ? { trace } : {}) };
    if (state !== 'failed' && !(retryDenied && state === 'denied')) return last;
  }
  return { ...last!, state: last!.state === 'denied' ? 'denied' : 'failed' };
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
