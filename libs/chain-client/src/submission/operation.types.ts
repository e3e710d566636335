/** An act as it is stored when accepted. Lengths: requestId, recordId, authContext 32 bytes, actor 20, signature 65. */
export interface NewOperation {
  /** `op_` + 32 hex; made here where left out. */
  id?: string;
  network: string;
  requestId: Buffer;
  /** Fingerprint of the request: the same for a retry, another for another request under the same key. */
  bodyHash: Buffer;
  principal: Buffer;
  /** As the API names it, e.g. `query`. */
  type: string;
  /** Operation code of the ledger. */
  code: number;
  actor: Buffer;
  recordId: Buffer;
  parameters: Buffer;
  /** Unix seconds. */
  deadline: number;
  authContext: Buffer;
  signature: Buffer;
  authEvidence?: Buffer | null;
  parentId?: string | null;
  /** Higher goes first: emergencies. Default 0. */
  priority?: number;
}

export type OperationPhase = 'accepted' | 'signed' | 'failed' | 'cancelled';

/** Why an operation ended without effect. The code is for programs. */
export interface OperationFailure {
  code: 'DEADLINE_PASSED' | 'TOO_LARGE' | 'REVERTED' | 'BAD_SIGNATURE' | 'MISMATCH';
  detail?: string;
}

export interface OperationRow extends Required<Omit<NewOperation, 'authEvidence'>> {
  /** Order of acceptance. */
  ordinal: bigint;
  phase: OperationPhase;
  failure: OperationFailure | null;
  createdAt: Date;
  updatedAt: Date;
}

export interface Accepted {
  operation: OperationRow;
  /** True when the key was used before: `operation` is the one of then. */
  replayed: boolean;
}

export type OperationState =
  | 'accepted'
  | 'signed'
  | 'submitted'
  | 'mined'
  | 'confirmed'
  | 'denied'
  | 'failed'
  | 'cancelled';

/** Nothing follows these. */
export const endStates: ReadonlySet<OperationState> = new Set(['confirmed', 'denied', 'failed', 'cancelled']);

/**
 * Of a nonce bound to bytes. Open: `signed` (stored), `submitted` (with the node). Ended: `final` (its acts were carried out), `reverted`,
 * `noop` (a NOOP was mined instead), `lost` (bytes of somebody else were).
 */
export type TransactionState = 'assigned' | 'signed' | 'submitted' | 'final' | 'reverted' | 'noop' | 'lost';

export interface TransactionView {
  hash: Buffer;
  nonce: number;
  blockNumber?: bigint;
  blockHash?: Buffer;
  /** Blocks from its own to the mirror's tip, its own included. */
  confirmations?: number;
}

export interface OutcomeView {
  /** `OK`, the ledger's reason for a refusal, or the code of a failure. */
  code: string;
  detail?: string;
}

/** An operation as readers see it: what the gateway decided, joined with what the chain says. */
export interface OperationView {
  id: string;
  ordinal: bigint;
  type: string;
  code: number;
  state: OperationState;
  network: string;
  recordId: Buffer;
  requestId: Buffer;
  actor: Buffer;
  principal: Buffer;
  bodyHash: Buffer;
  parentId: string | null;
  transaction?: TransactionView;
  /** `ev_<network>_<sequence>`; present once the act is in a block. */
  event?: string;
  outcome?: OutcomeView;
  createdAt: Date;
  updatedAt: Date;
}

/** How an operation ended. */
export interface OperationOutcome {
  network: string;
  requestId: Buffer;
  state: 'confirmed' | 'denied' | 'failed' | 'cancelled';
  transaction?: TransactionView;
  event?: string;
  outcome: OutcomeView;
}

/** `view` brought to its end, without asking the database again. */
export function withOutcome(view: OperationView, end: OperationOutcome): OperationView {
  const ended: OperationView = { ...view, state: end.state, outcome: end.outcome };
  if (end.transaction) ended.transaction = end.transaction;
  if (end.event) ended.event = end.event;
  return ended;
}

/** The key was used for another request. Nothing was stored. */
export class IdempotencyMismatch extends Error {
  constructor(readonly operationId: string) {
    super('The idempotency key was used for another request.');
    this.name = 'IdempotencyMismatch';
  }
}
