import type { FoldedBlock } from '../verify/ledger.fold.js';

/** Where the ledger stood after a final block, and the block's header (RLP). */
export interface Checkpoint {
  number: bigint;
  hash: Buffer;
  header: Buffer;
  sequence: bigint;
  head: Buffer;
}

/** What was asked there: the proof of the ledger's state (JSON) or why there is none, and the second node's hash for the block. */
export interface BesideCheckpoint {
  proof?: string;
  missing?: string;
  witnessHash?: Buffer;
}

/** Undefined when the block is not on the page. @param page blocks in order */
export function checkpointAt(number: bigint, page: readonly FoldedBlock[]): Checkpoint | undefined {
  const [first] = page;
  const folded = first && page[Number(number - first.block.number)];
  if (folded === undefined) return undefined;
  const { block, state } = folded;
  return { number, hash: block.hash, header: block.header, ...state };
}
