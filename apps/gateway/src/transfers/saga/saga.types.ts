/**
 * What became of one act of ours, as the chain says it, or else the operation table. Only final events count: a mined act that may still be
 * taken back is pending. 'failed': withdrawn, or its deadline passed unmined, in every try we give it.
 */
export type ActState = 'none' | 'pending' | 'confirmed' | 'denied' | 'failed';

/** States of a transfer on the global ledger. */
export type LedgerState = 'proposed' | 'accepted' | 'completed' | 'rejected' | 'cancelled' | 'expired';

/** The transfer on the global ledger. */
export interface LedgerTransfer {
  state: LedgerState;
  /** False while the block of the latest state is not final: nothing may follow from it yet. */
  final: boolean;
  /** Its time is over, with a margin for clocks that differ. */
  overdue: boolean;
  /** Named by the receiver in its acceptance. */
  packageHash?: Buffer;
}

/** `outcome` of unfreeze (IEmrLedger.RecordUnfrozen). */
export const unfreezeOutcome = { completed: 0, rejected: 1, cancelled: 2, expired: 3 } as const;
export type Outcome = keyof typeof unfreezeOutcome;

/** Where a transfer stands, for people and for the index of open rows. Nothing is decided by it: decisions follow from what is observed. */
export type Step =
  | 'freezing'
  | 'publishing'
  | 'relating'
  | 'proposing'
  | 'delivering'
  | 'awaiting-acceptance'
  | 'completing'
  | 'expiring'
  | 'unfreezing'
  | 'announced'
  | 'received'
  | 'accepting'
  | 'accepted'
  | 'opening'
  | 'done'
  | 'failed';

/** Acts that the saga itself accepts; the freeze and the acceptance are asked for by people. */
export type SagaAct = 'publish' | 'relate' | 'propose' | 'complete' | 'expire' | 'unfreeze' | 'open';

export type SagaAction =
  | { do: 'wait'; step: Step }
  | { do: 'act'; act: SagaAct; step: Step; outcome?: Outcome }
  /** Source: build the package if there is none yet, and bring it to the peer. */
  | { do: 'deliver'; step: 'delivering' }
  /** Destination: ask the peer for the package that its delivery lost. */
  | { do: 'fetch'; step: Step }
  /** Nothing follows. */
  | { do: 'end'; step: 'done' | 'failed'; outcome?: Outcome; reason?: string };
