import type { SequencedEvent } from '../../../../libs/contracts/src/event.codec.js';
import type { Columns, RowOf, Table } from '../commit/table.js';
import type { PlacedEvent } from '../verify/ledger.fold.js';
import { MismatchError } from '../verify/mismatch.error.js';

export type Key = readonly (Buffer | bigint | number)[];

/**
 * A table the API reads, as a fold over events: each row follows from the events that share its key, in order. The same fold serves
 * the live chain, backfill, and the rebuild after a reorganisation.
 */
export interface Projection<C extends Columns = Columns> {
  table: Table<C>;
  /** Key of the one row this event changes, in the order of `table.key`; undefined when it changes none. */
  keyOf(event: SequencedEvent): Key | undefined;
  /** True when the row follows from this event alone, so that the one before needn't be read. */
  begins(event: SequencedEvent): boolean;
  /** Whether the event may follow on the row. Asked for every event of the chain, but not in a rebuild, which skips looks and refusals. @throws MismatchError */
  verify?(previous: RowOf<C> | undefined, placed: PlacedEvent): void;
  /** The row after the event; undefined when it is gone. @throws MismatchError when the event can't follow on the row */
  apply(previous: RowOf<C> | undefined, placed: PlacedEvent): RowOf<C> | undefined;
}

/** The row an event builds on. Its absence means that the ledger let through what it can't have. */
export function present<T>(previous: T | undefined, { event, block }: PlacedEvent): T {
  if (previous === undefined) {
    throw new MismatchError(block.number, block.hash, `${event.type} at sequence ${event.sequence} builds on nothing.`);
  }
  return previous;
}

/** Thrown where a fold is given an event that its `keyOf` doesn't name. */
export function unexpected(event: SequencedEvent): Error {
  return new Error(`${event.type} is no event of this projection`);
}
