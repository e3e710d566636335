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
