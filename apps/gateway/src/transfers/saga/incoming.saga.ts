import type { ActState, LedgerTransfer, SagaAction } from './saga.types.js';

/** All that the destination's next action follows from. */
export interface IncomingFacts {
  /** Undefined: the ledger has no such transfer (any more: a proposal that was reorganised away before it was final). */
  transfer?: LedgerTransfer;
  /** The package is here, proven. */
  received: boolean;
  /** It should have come long ago: its delivery was lost, or what came of it. */
  late: boolean;
  /** The latest acceptance asked for here. */
  acceptance: ActState;
  open: ActState;
}

/**
 * The destination's side of a COPY: package received → accepted by a person → completed by the source → open the copy.
 * Only what the global ledger calls completed is opened. Pure, as nextOutgoing.
 */
export function nextIncoming(facts: IncomingFacts): SagaAction {
  const { transfer, open } = facts;
  if (open === 'confirmed') return { do: 'end', step: 'done', outcome: 'completed' };
  if (!transfer?.final) return { do: 'wait', step: 'announced' };
  switch (transfer.state) {
    case 'proposed':
      if (!facts.received) return { do: facts.late ? 'fetch' : 'wait', step: 'announced' };
      return { do: 'wait', step: facts.acceptance === 'pending' ? 'accepting' : 'received' };
    case 'accepted':
      return { do: 'wait', step: 'accepted' };
    case 'completed':
      if (open === 'denied' || open === 'failed') return { do: 'end', step: 'failed', reason: `open ${open}` };
      if (open === 'pending') return { do: 'wait', step: 'opening' };
      // Accepted here, then the database was lost: the source still has the package.
      return facts.received ? { do: 'act', act: 'open', step: 'opening' } : { do: 'fetch', step: 'opening' };
    case 'rejected':
    case 'cancelled':
    case 'expired':
      return { do: 'end', step: 'done', outcome: transfer.state };
  }
}
