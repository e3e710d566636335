import { Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { ZERO_HEAD } from '../../../../libs/proof/src/head.js';
import { ANCHOR_COLUMNS, type Anchor, type AnchorRecord, anchorOf } from './anchor.rows.js';

/** A block of a ledger, and what the ledger had come to after it. */
export interface LedgerPoint {
  number: bigint;
  hash: Buffer;
  sequence: bigint;
  head: Buffer;
}

interface PointRecord {
  number: string;
  hash: Buffer;
  sequence: string;
  head: Buffer;
}

/** What a hospital anchors, read from its own mirror and access log. */
@Injectable()
export class AnchoringStore {
  constructor(private readonly database: DataSource) {}

  /** The last final block of `network`; undefined before the mirror's first. */
  async finalPoint(network: string): Promise<LedgerPoint | undefined> {
    const rows: PointRecord[] = await this.database.query(
      `SELECT b.number, b.hash, b.sequence, b.head
       FROM mirror.cursor c JOIN mirror.block b ON b.network = c.network AND b.number = c.final_number WHERE c.network = $1`,
      [network],
    );
    return rows.map(pointOf)[0];
  }

  /** Block `number` of `network`, if it is final; undefined where the mirror has none. */
  async pointAt(network: string, number: bigint): Promise<LedgerPoint | undefined> {
    const rows: PointRecord[] = await this.database.query(
      `SELECT b.number, b.hash, b.sequence, b.head FROM mirror.block b JOIN mirror.cursor c ON c.network = b.network
       WHERE b.network = $1 AND b.number = $2 AND b.number <= c.final_number`,
      [network, String(number)],
    );
    return rows.map(pointOf)[0];
  }

  /** The last final anchor of a hospital's network `chainId`. */
  async lastAnchor(carrier: string, hospital: number, chainId: bigint): Promise<Anchor | undefined> {
    const rows: AnchorRecord[] = await this.database.query(
      `SELECT ${ANCHOR_COLUMNS} FROM mirror.anchor a JOIN mirror.cursor c ON c.network = a.network
       WHERE a.network = $1 AND a.hospital = $2 AND a.chain_id = $3 AND a.block_number <= c.final_number
       ORDER BY a.sequence DESC LIMIT 1`,
      [carrier, hospital, String(chainId)],
    );
    return rows.map(anchorOf)[0];
  }

  /** Entries of the access log's chain, and the fold of them all. */
  async accessHead(): Promise<{ sequence: bigint; head: Buffer }> {
    const [row]: { sequence: string; head: Buffer }[] = await this.database.query(
      'SELECT sequence, head FROM gateway.access_log_link ORDER BY sequence DESC LIMIT 1',
    );
    return row ? { sequence: BigInt(row.sequence), head: row.head } : { sequence: 0n, head: ZERO_HEAD };
  }

  /** The fold of the first `sequence` entries of the access log; undefined when there are fewer. */
  async accessHeadAt(sequence: bigint): Promise<Buffer | undefined> {
    const [row]: { head: Buffer }[] = await this.database.query(
      'SELECT head FROM gateway.access_log_link WHERE sequence = $1',
      [String(sequence)],
    );
    return row?.head;
  }

  /** Unix seconds of event `sequence`. */
  async timeOfEvent(network: string, sequence: bigint): Promise<number | undefined> {
    const [row]: { time: string }[] = await this.database.query(
      'SELECT block_time AS time FROM mirror.emr_event WHERE network = $1 AND sequence = $2',
      [network, String(sequence)],
    );
    return row && Number(row.time);
  }

  /** Unix seconds at which entry `sequence` of the access log took its place. */
  async timeOfEntry(sequence: bigint): Promise<number | undefined> {
    const [row]: { time: number }[] = await this.database.query(
      'SELECT extract(epoch FROM linked_at)::float8 AS time FROM gateway.access_log_link WHERE sequence = $1',
      [String(sequence)],
    );
    return row?.time;
  }

  /** topics ‖ data of the final events behind `after`, through `through`, in order. */
  async events(network: string, after: bigint, through: bigint): Promise<{ topics: Buffer; data: Buffer }[]> {
    return this.database.query(
      `SELECT e.topics, e.data FROM mirror.emr_event e JOIN mirror.cursor c ON c.network = e.network
       WHERE e.network = $1 AND e.sequence > $2 AND e.sequence <= $3 AND e.block_number <= c.final_number ORDER BY e.sequence`,
      [network, String(after), String(through)],
    );
  }
}

function pointOf({ number, hash, sequence, head }: PointRecord): LedgerPoint {
  return { number: BigInt(number), hash, sequence: BigInt(sequence), head };
}
