import { Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { ANCHOR_COLUMNS, type Anchor, type AnchorRecord, anchorOf } from './anchor.rows.js';

/** One network of another hospital, that only its anchors tell of. */
export interface Line {
  hospital: number;
  chainId: bigint;
}

/** How far a line was followed. */
export interface Followed {
  /** The last anchor dealt with; 0: none. */
  anchorSequence: bigint;
  /** Of the one after it, how far its events were folded. */
  folded?: { sequence: bigint; head: Buffer };
  answeredAt: Date | null;
  /** Why the hospital gave no answer the last time. */
  problem: string | null;
}

interface FollowRecord {
  anchor_sequence: string;
  folded_sequence: string | null;
  folded_head: Buffer | null;
  answered_at: Date | null;
  problem: string | null;
}

@Injectable()
export class FollowStore {
  constructor(private readonly database: DataSource) {}

  /** Every line there is, this hospital's own too. Each costs one look at an index, however many anchors it has. */
  async lines(network: string): Promise<Line[]> {
    const rows: { hospital: string; chain_id: string }[] = await this.database.query(
      `WITH RECURSIVE line AS (
         (SELECT hospital, chain_id FROM mirror.anchor WHERE network = $1 ORDER BY hospital, chain_id LIMIT 1)
         UNION ALL
         SELECT next.hospital, next.chain_id FROM line, LATERAL (
           SELECT a.hospital, a.chain_id FROM mirror.anchor a
           WHERE a.network = $1 AND (a.hospital, a.chain_id) > (line.hospital, line.chain_id)
           ORDER BY a.hospital, a.chain_id LIMIT 1) AS next)
       SELECT hospital, chain_id FROM line`,
      [network],
    );
    return rows.map((row) => ({ hospital: Number(row.hospital), chainId: BigInt(row.chain_id) }));
  }

  async followed(network: string, { hospital, chainId }: Line): Promise<Followed> {
    const [row]: FollowRecord[] = await this.database.query(
      `SELECT anchor_sequence, folded_sequence, folded_head, answered_at, problem
       FROM gateway.anchor_follow WHERE network = $1 AND hospital = $2 AND chain_id = $3`,
      [network, hospital, String(chainId)],
    );
    if (!row) return { anchorSequence: 0n, answeredAt: null, problem: null };
    return {
      anchorSequence: BigInt(row.anchor_sequence),
      ...(row.folded_sequence !== null && row.folded_head !== null
        ? { folded: { sequence: BigInt(row.folded_sequence), head: row.folded_head } }
        : {}),
      answeredAt: row.answered_at,
      problem: row.problem,
    };
  }

  async keep(network: string, { hospital, chainId }: Line, followed: Followed): Promise<void> {
    const { anchorSequence, folded, answeredAt, problem } = followed;
    await this.database.query(
      `INSERT INTO gateway.anchor_follow (network, hospital, chain_id, anchor_sequence, folded_sequence, folded_head, answered_at, problem)
       VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
       ON CONFLICT ON CONSTRAINT pk_anchor_follow DO UPDATE SET anchor_sequence = EXCLUDED.anchor_sequence,
         folded_sequence = EXCLUDED.folded_sequence, folded_head = EXCLUDED.folded_head,
         answered_at = EXCLUDED.answered_at, problem = EXCLUDED.problem`,
      [
        ...[network, hospital, String(chainId), String(anchorSequence)],
        ...[folded ? String(folded.sequence) : null, folded?.head ?? null, answeredAt, problem],
      ],
    );
  }

  /** Final anchors of a line behind `after`, in order. */
  async anchors(network: string, { hospital, chainId }: Line, after: bigint, limit: number): Promise<Anchor[]> {
    const rows: AnchorRecord[] = await this.database.query(
      `SELECT ${ANCHOR_COLUMNS} FROM mirror.anchor a JOIN mirror.cursor c ON c.network = a.network
       WHERE a.network = $1 AND a.hospital = $2 AND a.chain_id = $3 AND a.sequence > $4 AND a.block_number <= c.final_number
       ORDER BY a.sequence LIMIT $5`,
      [network, hospital, String(chainId), String(after), limit],
    );
    return rows.map(anchorOf);
  }

  async anchorAt(network: string, sequence: bigint): Promise<Anchor | undefined> {
    const rows: AnchorRecord[] = await this.database.query(
      `SELECT ${ANCHOR_COLUMNS} FROM mirror.anchor a WHERE a.network = $1 AND a.sequence = $2`,
      [network, String(sequence)],
    );
    return rows.map(anchorOf)[0];
  }
}
