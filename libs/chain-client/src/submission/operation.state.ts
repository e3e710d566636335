import { reasonName } from '../../../contracts/src/operations.js';
import type {
  OperationFailure,
  OperationPhase,
  OperationState,
  OutcomeView,
  TransactionState,
} from './operation.types.js';

/** What the tables say about one operation, each part absent where nothing is known. */
export interface OperationFacts {
  phase: OperationPhase;
  failure: OperationFailure | null;
  /** Of the transaction it rides in last. */
  transactionState: TransactionState | null;
  /** Block of that transaction. */
  inclusion: { blockNumber: bigint; status: number } | null;
  /** The ledger's event for its request id. */
  event: { blockNumber: bigint; denied: boolean; reason: number } | null;
  /** The ledger's unsequenced answer at its place in the transaction. */
  notice: 'bad-signature' | 'mismatch' | null;
  /** Last block of the network that is final in the mirror. */
  finalNumber: bigint;
}

export interface DerivedState {
  state: OperationState;
  outcome?: OutcomeView;
}

/**
 * State of an operation. What is final on chain comes first: it holds whatever the gateway's own notes say, so `confirmed` and
 * `denied` never turn back; a block that isn't final yet may still be taken back, so `mined` may.
 */
export function deriveState(facts: OperationFacts): DerivedState {
  const { phase, failure, event, inclusion, notice, finalNumber } = facts;
  const inclusionFinal = inclusion !== null && inclusion.blockNumber <= finalNumber;
  if (notice !== null && inclusionFinal) {
    return { state: 'failed', outcome: { code: notice === 'mismatch' ? 'MISMATCH' : 'BAD_SIGNATURE' } };
  }
  if (event !== null && event.blockNumber <= finalNumber) {
    return event.denied
      ? { state: 'denied', outcome: { code: reasonName(event.reason) } }
      : { state: 'confirmed', outcome: { code: 'OK' } };
  }
  if (phase === 'cancelled') return { state: 'cancelled', outcome: { code: 'CANCELLED' } };
  if (phase === 'failed') {
    return {
      state: 'failed',
      outcome: { code: failure?.code ?? 'FAILED', ...(failure?.detail ? { detail: failure.detail } : {}) },
    };
  }
  if (event !== null) return { state: 'mined' };
  // Assigned to a nonce and not signed yet: for whoever asks, nothing has happened to it.
  if (phase === 'accepted' || facts.transactionState === 'assigned') return { state: 'accepted' };
  if (inclusion !== null) return { state: 'mined' };
  return { state: facts.transactionState === 'signed' ? 'signed' : 'submitted' };
}
