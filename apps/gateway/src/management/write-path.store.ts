import { Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';

export interface NetworkFigures {
  network: string;
  /** Seconds, for acts accepted or with a signer that has not signed them yet; null where nothing waits. */
  oldest_waiting: number | null;
  /** Seconds since the oldest transaction that is in no block was signed; null where there is none. */
  oldest_unmined: number | null;
  failed: number;
  cancelled: number;
  /** Mirror's tip; null before its first block. */
  cursor: string | null;
  final_number: string | null;
}

export interface SignerFigures {
  id: number;
  network: string;
  address: Buffer;
  state: 'active' | 'paused' | 'quarantined';
  /** The first that no bytes are bound to. */
  next_nonce: string;
}

export interface FinalActs {
  confirmed: number;
  denied: number;
  /** Last sequence counted. */
  sequence: string;
}

/** What /metrics reads of the write path: figures by index, none of which grows with the history. */
@Injectable()
export class WritePathStore {
  constructor(private readonly database: DataSource) {}

  networks(names: readonly string[]): Promise<NetworkFigures[]> {
    return this.database.query(
      `SELECT n.name AS network, (
           SELECT extract(epoch FROM now() - least((
             SELECT min(o.created_at) FROM gateway.operation o WHERE o.network = n.name AND o.phase = 'accepted'
           ), (
             SELECT min(t.created_at) FROM gateway.signer s JOIN gateway.transaction t ON t.signer_id = s.id AND t.state = 'assigned'
             WHERE s.network = n.name)))::float8
         ) AS oldest_waiting, (
           SELECT extract(epoch FROM now() - min(t.created_at))::float8
           FROM gateway.signer s JOIN gateway.transaction t ON t.signer_id = s.id AND t.state IN ('signed', 'submitted')
           WHERE s.network = n.name AND NOT EXISTS (
             SELECT FROM gateway.attempt a JOIN mirror.inclusion i ON i.network = n.name AND i.transaction_hash = a.hash
             WHERE a.transaction_id = t.id)
         ) AS oldest_unmined,
         (SELECT count(*)::int FROM gateway.operation o WHERE o.network = n.name AND o.phase = 'failed') AS failed,
         (SELECT count(*)::int FROM gateway.operation o WHERE o.network = n.name AND o.phase = 'cancelled') AS cancelled,
         c.number AS cursor, c.final_number
       FROM unnest($1::text[]) AS n(name) LEFT JOIN mirror.cursor c ON c.network = n.name`,
      [names],
    );
  }

  signers(): Promise<SignerFigures[]> {
    return this.database.query(
      `SELECT s.id, s.network, s.address, s.state, coalesce((
         SELECT min(t.nonce) FROM gateway.transaction t WHERE t.signer_id = s.id AND t.state = 'assigned'), s.next_nonce) AS next_nonce
       FROM gateway.signer s ORDER BY s.id`,
    );
  }

  /** This hospital's final acts behind `after`; undefined counts none and tells where to begin. */
  async finalActs(network: string, hospital: number, after: string | undefined): Promise<FinalActs> {
    const rows: FinalActs[] = await this.database.query(
      `SELECT count(*) FILTER (WHERE e.hospital = $2 AND e.type <> 'AccessDenied')::int AS confirmed,
         count(*) FILTER (WHERE e.hospital = $2 AND e.type = 'AccessDenied')::int AS denied, last.sequence
       FROM (
         SELECT coalesce((SELECT e.sequence FROM mirror.emr_event e JOIN mirror.cursor c ON c.network = e.network
           WHERE e.network = $1 AND e.block_number <= c.final_number ORDER BY e.sequence DESC LIMIT 1), 0) AS sequence
       ) last
       LEFT JOIN mirror.emr_event e
         ON e.network = $1 AND e.sequence > coalesce($3::bigint, last.sequence) AND e.sequence <= last.sequence
       GROUP BY last.sequence`,
      [network, hospital, after ?? null],
    );
    return rows[0]!;
  }
}
