import type { Position } from '../follow/chain-source.js';
import type { FoldedBlock, LedgerState } from '../verify/ledger.fold.js';

/** Where the mirror of one network stands. */
export interface MirrorState {
  tip: Position;
  /** Blocks up to this one are never taken back. */
  finalNumber: bigint;
  ledger: LedgerState;
}

/** Blocks that follow on the tip. */
export interface Extension {
  blocks: readonly FoldedBlock[];
  finalNumber: bigint;
}

/** Blocks that follow on an ancestor of the tip, in place of those stored above it. */
export interface Replacement extends Extension {
  ancestor: Position;
}

/** The stored copy of one network's chain. One writer: whoever leads. */
export interface Mirror {
  load(): Promise<MirrorState>;
  /** Hash of the stored block; undefined below the first stored one and above the tip. */
  hashAt(number: bigint): Promise<Buffer | undefined>;
  /** The ledger after the stored block. */
  ledgerAt(number: bigint): Promise<LedgerState>;
  /**
   * Makes ready what the blocks change. What was prepared before may not be committed yet.
   * @returns writes the blocks and all that follows from them, and moves the tip: wholly or not at all. For once, after the one before it
   * @throws MismatchError
   */
  prepare(extension: Extension): Promise<() => Promise<void>>;
  /** Sets the orphans aside, writes the replacement, moves the tip: wholly or not at all. */
  reorganise(replacement: Replacement): Promise<void>;
}
