import type { ActState, LedgerState, LedgerTransfer, SagaAction, Step } from './saga.types.js';

/** All that the source's next action follows from. Read anew each time, so that no stored step can be out of date. */
export interface OutgoingFacts {
  freeze: ActState;
  /** Is the record, in the version to transfer, on the global ledger? 'ahead': in a later one, so this transfer can't be proposed. */
  publication: 'current' | 'missing' | 'ahead';
  /** The act that publishes the next missing version. */
  publish: ActState;
  /** The ledger would refuse the proposal because its actor isn't related to the record there, and this can be helped. */
  unrelated: boolean;
  /** The act by which the record's publisher relates the actor to it. */
  relate: ActState;
  propose: ActState;
  /** A records officer called it off before it was proposed. */
  withdrawn: boolean;
  /** Undefined: the ledger has no such transfer. */
  transfer?: LedgerTransfer;
  /** The peer has confirmed the package. */
  delivered: boolean;
  /** Of the package as we made it. */
  packageHash?: Buffer;
  complete: ActState;
  expire: ActState;
  unfreeze: ActState;
  /** Whether the record is still frozen for this transfer. */
  frozen: boolean;
}

/**
 * The source's side of a COPY: freeze → publish → relate → propose → deliver → (accepted) → complete → unfreeze. The global ledger decides; every exit ends in unfreeze.
 * Pure: the same facts give the same action, so a driver killed anywhere goes on by looking again.
 */
export function nextOutgoing(facts: OutgoingFacts): SagaAction {
  const { transfer } = facts;
  // Refused because it isn't frozen any more: unfrozen by an act that a lost database forgot.
  const thawed = facts.unfreeze === 'denied' && !facts.frozen && facts.freeze === 'confirmed';
  if (facts.unfreeze === 'confirmed' || thawed) return { do: 'end', step: 'done' };
  if (!transfer) return beforeProposal(facts);
  if (!transfer.final) return { do: 'wait', step: unsettled[transfer.state] };
  switch (transfer.state) {
    case 'proposed':
      if (transfer.overdue) return once(facts.expire, { do: 'act', act: 'expire', step: 'expiring' });
      return facts.delivered ? { do: 'wait', step: 'awaiting-acceptance' } : { do: 'deliver', step: 'delivering' };
    case 'accepted':
      if (facts.complete === 'pending') return { do: 'wait', step: 'completing' };
      if (transfer.overdue) return once(facts.expire, { do: 'act', act: 'expire', step: 'expiring' });
      // Whoever accepted something else than we sent has not received this record, and complete would testify to it. Only time ends an
      // accepted transfer otherwise, and the same holds when the ledger refuses to complete it.
      if (!facts.packageHash || !transfer.packageHash?.equals(facts.packageHash) || facts.complete !== 'none') {
        return { do: 'wait', step: 'completing' };
      }
      return { do: 'act', act: 'complete', step: 'completing' };
    case 'completed':
    case 'rejected':
    case 'cancelled':
    case 'expired':
      return once(facts.unfreeze, { do: 'act', act: 'unfreeze', step: 'unfreezing', outcome: transfer.state });
  }
}

function beforeProposal(facts: OutgoingFacts): SagaAction {
  const unwind = once(facts.unfreeze, { do: 'act', act: 'unfreeze', step: 'unfreezing', outcome: 'cancelled' });
  switch (facts.freeze) {
    case 'none':
    case 'pending':
      return { do: 'wait', step: 'freezing' };
    case 'denied':
    case 'failed':
      return { do: 'end', step: 'failed', reason: `freeze ${facts.freeze}` };
    case 'confirmed':
      break;
  }
  switch (facts.propose) {
    case 'pending':
    case 'confirmed': // its event is final, its projection follows in the same commit
      return { do: 'wait', step: 'proposing' };
    case 'denied':
    case 'failed':
      return unwind;
    case 'none':
      break;
  }
  // Once an unfreeze was asked for, proposing after all would offer a record that is no longer frozen.
  if (facts.withdrawn || facts.unfreeze !== 'none' || facts.publication === 'ahead') return unwind;
  if (facts.publication === 'current') return relateAndPropose(facts, unwind);
  switch (facts.publish) {
    case 'none':
      return { do: 'act', act: 'publish', step: 'publishing' };
    case 'pending':
    case 'confirmed':
      return { do: 'wait', step: 'publishing' };
    case 'denied':
    case 'failed':
      return unwind;
  }
}

function relateAndPropose(facts: OutgoingFacts, unwind: SagaAction): SagaAction {
  const propose = { do: 'act', act: 'propose', step: 'proposing' } as const;
  if (!facts.unrelated) return propose;
  switch (facts.relate) {
    case 'none':
      return { do: 'act', act: 'relate', step: 'relating' };
    case 'pending':
      return { do: 'wait', step: 'relating' };
    case 'confirmed': // it has ended again: the ledger says so, on record
      return propose;
    case 'denied':
    case 'failed':
      return unwind;
  }
}

/**
 * How a records officer, who may act without a relation, brings a transfer to its end whoever began it:
 * 'cancel' what is offered (what is accepted can't be cancelled: the ledger refuses, and the rest goes on in the officer's name), 'unfreeze'
 * what is not offered (any more), 'later' when an act is under way that decides which, 'ended' when nothing is frozen.
 */
export function endingOf(facts: OutgoingFacts): 'cancel' | 'unfreeze' | 'later' | 'ended' {
  const { transfer, freeze, propose, unfreeze } = facts;
  if (transfer?.state === 'proposed' || transfer?.state === 'accepted') return 'cancel';
  if (freeze === 'pending' || propose === 'pending' || unfreeze === 'pending') return 'later';
  if (freeze !== 'confirmed' || unfreeze === 'confirmed' || !facts.frozen) return 'ended';
  if (transfer ? !transfer.final : propose === 'confirmed') return 'later';
  return 'unfreeze';
}

/** The step whose end is mined but not final yet. */
const unsettled = {
  proposed: 'proposing',
  accepted: 'awaiting-acceptance',
  completed: 'completing',
  rejected: 'awaiting-acceptance',
  cancelled: 'awaiting-acceptance',
  expired: 'expiring',
} as const satisfies Record<LedgerState, Step>;

/** Does `action` unless it was done, waits for it, and stops for good where the ledger refused what had to be possible. */
function once(state: ActState, action: Extract<SagaAction, { do: 'act' }>): SagaAction {
  switch (state) {
    case 'none':
      return action;
    case 'pending':
    case 'confirmed':
      return { do: 'wait', step: action.step };
    case 'denied':
    case 'failed':
      return { do: 'end', step: 'failed', reason: `${action.act} ${state}` };
  }
}
