import { foldHead, ZERO_HEAD } from '../../../../libs/proof/src/head.js';
import type { PlacedEvent } from './ledger.fold.js';
import { MismatchError } from './mismatch.error.js';

/** Where a record's own history stands. */
export interface RecordState {
  recordSequence: bigint;
  recordHead: Buffer;
}

/**
 * Each event's frame must continue its record's own sequence and head: so a patient can prove that a history is whole without seeing
 * anybody else's.
 * @param before undefined when the record has no event yet
 * @throws MismatchError
 */
export function assertContinuesRecord(before: RecordState | undefined, { event, block }: PlacedEvent): void {
  const due = (before?.recordSequence ?? 0n) + 1n;
  const place = `sequence ${event.sequence} of record 0x${event.recordId.toString('hex')}`;
  if (event.recordSequence !== due) {
    const detail = `${place} says it is the record's event ${event.recordSequence}; event ${due} is due.`;
    throw new MismatchError(block.number, block.hash, detail);
  }
  if (!event.recordHead.equals(before?.recordHead ?? ZERO_HEAD)) {
    const detail = `${place} names another record head than the record's events give.`;
    throw new MismatchError(block.number, block.hash, detail);
  }
}

/** The record after this event. */
export function recordStateAfter({ event, leaf }: PlacedEvent): RecordState {
  return {
    recordSequence: event.recordSequence,
    recordHead: foldHead(event.recordHead, event.recordSequence, leaf),
  };
}
