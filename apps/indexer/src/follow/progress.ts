import type { VerifiedBlock } from '../verify/block.verifier.js';
import type { Position } from './chain-source.js';

/** What happened on a chain, in order. */
export type Progress =
  /** Blocks that follow on the tip. */
  | { type: 'block'; blocks: VerifiedBlock[]; finalNumber: bigint }
  /** Blocks that follow on an ancestor of the tip; those above it are orphans. */
  | { type: 'reorganisation'; ancestor: Position; blocks: VerifiedBlock[]; finalNumber: bigint }
  /** Blocks up to `number` are final, by the step before. */
  | { type: 'final'; number: bigint }
  /** Nothing is left to do: the node's head is the tip, or below it on the same chain. */
  | { type: 'level' };

/** The node follows another history than the one stored as final. Nothing is taken back; a person decides. */
export class BeyondFinalityError extends Error {
  override readonly name = 'BeyondFinalityError';

  constructor(
    readonly number: bigint,
    readonly stored: Buffer,
    readonly given: Buffer,
  ) {
    super(
      `The node has block 0x${given.toString('hex')} at ${number}, where 0x${stored.toString('hex')} is stored and final: ` +
        'its chain was replaced or reorganised beyond finality.',
    );
  }
}

/** The node names a head and gives no block that leads there: it is repairing itself, has pruned its blocks, or keeps something back. */
export class WithheldError extends Error {
  override readonly name = 'WithheldError';

  constructor(tip: Position, head: Position) {
    super(
      `The node says that its head is block ${head.number} (0x${head.hash.toString('hex')}) and gives nothing that leads there ` +
        `from block ${tip.number} (0x${tip.hash.toString('hex')}): it does not serve block ${tip.number + 1n}, or its answers do not fit together.`,
    );
  }
}
