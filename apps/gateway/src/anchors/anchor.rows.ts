/** An anchor as the mirror has it: how far a hospital's own ledger and access log had come. */
export interface Anchor {
  /** Of its event, on the network that carries anchors. */
  sequence: bigint;
  hospital: number;
  /** Of the hospital's own network. */
  chainId: bigint;
  /** Of the block that carries it; unix seconds. */
  blockTime: number;
  localBlock: bigint;
  localBlockHash: Buffer;
  previousSequence: bigint;
  previousHead: Buffer;
  localSequence: bigint;
  localHead: Buffer;
  accessSequence: bigint;
  accessHead: Buffer;
}

/** Of `mirror.anchor a`. */
export const ANCHOR_COLUMNS = `a.sequence, a.hospital, a.chain_id, a.block_time, a.local_block, a.local_block_hash, a.previous_sequence,
  a.previous_head, a.local_sequence, a.local_head, a.access_sequence, a.access_head`;

export interface AnchorRecord {
  sequence: string;
  hospital: string;
  chain_id: string;
  block_time: string;
  local_block: string;
  local_block_hash: Buffer;
  previous_sequence: string;
  previous_head: Buffer;
  local_sequence: string;
  local_head: Buffer;
  access_sequence: string;
  access_head: Buffer;
}

export function anchorOf(row: AnchorRecord): Anchor {
  return {
    sequence: BigInt(row.sequence),
    hospital: Number(row.hospital),
    chainId: BigInt(row.chain_id),
    blockTime: Number(row.block_time),
    localBlock: BigInt(row.local_block),
    localBlockHash: row.local_block_hash,
    previousSequence: BigInt(row.previous_sequence),
    previousHead: row.previous_head,
    localSequence: BigInt(row.local_sequence),
    localHead: row.local_head,
    accessSequence: BigInt(row.access_sequence),
    accessHead: row.access_head,
  };
}
