import { Inject, Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import type { NetworksConfig } from '../../../../libs/platform/src/networks.js';
import { NETWORKS } from '../core.tokens.js';
import { type EventFilter, filterSql } from './event-filter.sql.js';
import { recordsSql } from './records.sql.js';

export interface EventRow {
  network: string;
  sequence: string;
  blockNumber: string;
  blockHash: Buffer;
  blockTime: number;
  logIndex: number;
  transactionHash: Buffer;
  type: string;
  recordId: Buffer;
  recordSequence: string;
  hospital: number;
  actor: Buffer;
  requestId: Buffer;
  operation: number;
  outcome: number;
  purpose: number | null;
  topics: Buffer;
  data: Buffer;
}

/** Sequences from (inclusive) to (exclusive) of one network. */
export interface SequenceRange {
  network: string;
  from: bigint;
  to: bigint;
}

/** A final block of one network, and the ledger after it: how far its history is looked at. */
export interface Confirmed {
  network: string;
  block: string;
  hash: Buffer;
  /** Sequence of the last final event; 0 when there is none. */
  sequence: string;
  head: Buffer;
}

export interface IntegrityRow {
  network: string;
  number: string;
  hash: Buffer;
  finalNumber: string;
  sequence: string;
  head: Buffer;
  stoppedReason: string | null;
  events: string;
  reorganisations: number;
  beyondFinality: number;
  /** The newest checkpoint. */
  checkpoint: {
    block: string;
    hash: string;
    sequence: string;
    head: string;
    witnessHash: string | null;
    proven: boolean;
    proofMissing: string | null;
  } | null;
}

/** What a node was caught at, or a second node contradicted. */
export interface IncidentRow {
  network: string;
  kind: string;
  block: string | null;
  detail: string;
  seen: number;
  firstAt: Date;
  lastAt: Date;
  resolvedAt: Date | null;
}

/** Incidents shown of a network: open ones first, then the latest. */
const MOST_INCIDENTS = 50;

/** Of `mirror.emr_event e`, as an EventRow. */
export const EVENT_COLUMNS = `e.network, e.sequence, e.block_number AS "blockNumber", e.block_hash AS "blockHash", e.block_time::float8 AS "blockTime",
  e.log_index AS "logIndex", e.transaction_hash AS "transactionHash", e.type, e.record_id AS "recordId",
  e.record_sequence AS "recordSequence", e.hospital::float8 AS hospital, e.actor, e.request_id AS "requestId", e.operation, e.outcome,
  e.purpose, e.topics, e.data`;

@Injectable()
export class AuditStore {
  readonly #networks: string[];

  constructor(
    private readonly dataSource: DataSource,
    @Inject(NETWORKS) networks: NetworksConfig,
  ) {
    this.#networks = networks.networks.map(({ name }) => name);
  }

  confirmed(): Promise<Confirmed[]> {
    return this.dataSource.query(
      `SELECT u.network, u.final_number AS block, b.hash, b.sequence, b.head
       FROM mirror.cursor u JOIN mirror.block b ON b.network = u.network AND b.number = u.final_number
       WHERE u.network = ANY($1) ORDER BY u.network`,
      [this.#networks],
    );
  }

  /** The blocks of `snapshot` as they are now; shorter when a reorganisation replaced one. */
  standing(snapshot: readonly Pick<Confirmed, 'network' | 'block' | 'hash'>[]): Promise<Confirmed[]> {
    return this.dataSource.query(
      `SELECT b.network, b.number AS block, b.hash, b.sequence, b.head FROM mirror.block b
       JOIN unnest($1::text[], $2::bigint[], $3::bytea[]) AS s(network, number, hash) USING (network, number, hash)
       WHERE b.network = ANY($4) ORDER BY b.network`,
      [
        snapshot.map(({ network }) => network),
        snapshot.map(({ block }) => block),
        snapshot.map(({ hash }) => hash),
        this.#networks,
      ],
    );
  }

  /** The ledger's head before the event with this sequence, which has to be the first of its block. */
  async headBefore(network: string, sequence: string): Promise<Buffer | undefined> {
    const rows: { head: Buffer }[] = await this.dataSource.query(
      `SELECT b.head FROM mirror.emr_event e CROSS JOIN LATERAL (
         SELECT b.head FROM mirror.block b WHERE b.network = $1 AND b.number < e.block_number ORDER BY b.number DESC LIMIT 1) b
       WHERE e.network = $1 AND e.sequence = $2`,
      [network, sequence],
    );
    return rows[0]?.head;
  }

  async recordsOfPatient(identifierIndex: Buffer): Promise<Buffer[]> {
    const rows: { recordId: Buffer }[] = await this.dataSource.query(
      `SELECT pr.record_id AS "recordId" FROM gateway.patient_record pr JOIN gateway.patient p ON p.id = pr.patient_id
       WHERE p.identifier_index = $1 ORDER BY 1`,
      [identifierIndex],
    );
    return rows.map(({ recordId }) => recordId);
  }

  /**
   * First sequence of `network` whose block time is `time` (unix seconds) or later; `through + 1` when there is none. Sequences are dense and
   * their times never fall, so that a bisection over the primary key finds it without an index on time.
   */
  async firstSequenceAt(network: string, time: number, through: bigint): Promise<bigint> {
    let low = 1n;
    let high = through + 1n;
    while (low < high) {
      const middle = (low + high) / 2n;
      const [row]: { blockTime: number }[] = await this.dataSource.query(
        'SELECT block_time::float8 AS "blockTime" FROM mirror.emr_event WHERE network = $1 AND sequence = $2',
        [network, middle.toString()],
      );
      if (!row || row.blockTime < time) low = middle + 1n;
      else high = middle;
    }
    return low;
  }

  /** Newest first by block time, then network, then sequence. */
  events(ranges: readonly SequenceRange[], filter: EventFilter, limit: number): Promise<EventRow[]> {
    if (ranges.length === 0) return Promise.resolve([]);
    const values: unknown[] = [limit];
    const value = (it: unknown) => `$${values.push(it)}`;
    const { recordIds, identifierIndex, account, ...others } = filter;
    const records = recordsSql({ recordIds, identifierIndex, account }, value);
    // One walk along an index per network, or per network and record, merged.
    const perNetwork = ranges.map(({ network, from, to }) => {
      const here = value(network);
      const walk = `SELECT ${EVENT_COLUMNS} FROM mirror.emr_event e WHERE e.network = ${here}
        AND e.sequence >= ${value(from.toString())} AND e.sequence < ${value(to.toString())}${filterSql(others, value, here)}
        ${records ? 'AND e.record_id = r.record_id' : ''} ORDER BY e.sequence DESC LIMIT $1`;
      if (!records) return `(${walk})`;
      return `(SELECT e.* FROM (${records}) AS r CROSS JOIN LATERAL (${walk}) AS e ORDER BY e.sequence DESC LIMIT $1)`;
    });
    return this.dataSource.query(
      `SELECT * FROM (${perNetwork.join(' UNION ALL ')}) AS e
       ORDER BY e."blockTime" DESC, e.network COLLATE "C" DESC, e.sequence DESC LIMIT $1`,
      values,
    );
  }

  /** Events of one network after a sequence, through another one, oldest first. @param types undefined: all */
  after(
    network: string,
    sequence: string,
    through: string,
    types: string[] | undefined,
    limit: number,
  ): Promise<EventRow[]> {
    return this.dataSource.query(
      `SELECT ${EVENT_COLUMNS} FROM mirror.emr_event e WHERE e.network = $1 AND e.sequence > $2 AND e.sequence <= $3
         AND ($4::text[] IS NULL OR e.type = ANY($4)) ORDER BY e.sequence LIMIT $5`,
      [network, sequence, through, types ?? null, limit],
    );
  }

  /** A final event. */
  async event(network: string, sequence: string): Promise<EventRow | undefined> {
    const rows: EventRow[] = await this.dataSource.query(
      `SELECT ${EVENT_COLUMNS} FROM mirror.emr_event e JOIN mirror.cursor u ON u.network = e.network
       WHERE e.network = $1 AND e.sequence = $2 AND e.block_number <= u.final_number`,
      [network, sequence],
    );
    return rows[0];
  }

  async isOfAccount(recordId: Buffer, account: Buffer): Promise<boolean> {
    const rows: unknown[] = await this.dataSource.query(
      `SELECT 1 FROM gateway.patient_record pr JOIN gateway.patient_account pa USING (patient_id)
       WHERE pr.record_id = $1 AND pa.account_index = $2`,
      [recordId, account],
    );
    return rows.length > 0;
  }

  integrity(): Promise<IntegrityRow[]> {
    return this.dataSource.query(
      `SELECT u.network, u.number, u.hash, u.final_number AS "finalNumber", u.sequence, u.head, u.stopped_reason AS "stoppedReason",
         (SELECT count(*) FROM mirror.emr_event e WHERE e.network = u.network) AS events,
         r.count AS reorganisations, r.beyond AS "beyondFinality", c.checkpoint
       FROM mirror.cursor u
       CROSS JOIN LATERAL (SELECT count(*)::int AS count, count(*) FILTER (WHERE beyond_finality)::int AS beyond
                           FROM mirror.reorganisation r WHERE r.network = u.network) r
       LEFT JOIN LATERAL (
         SELECT jsonb_build_object('block', block_number::text, 'hash', '0x' || encode(block_hash, 'hex'), 'sequence', sequence::text,
           'head', '0x' || encode(head, 'hex'), 'witnessHash', '0x' || encode(witness_hash, 'hex'), 'proven', proof IS NOT NULL,
           'proofMissing', proof_missing) AS checkpoint
         FROM mirror.checkpoint c WHERE c.network = u.network ORDER BY c.block_number DESC LIMIT 1) c ON true
       WHERE u.network = ANY($1) ORDER BY u.network`,
      [this.#networks],
    );
  }

  incidents(network: string): Promise<IncidentRow[]> {
    return this.dataSource.query(
      `SELECT network, kind, block_number AS block, detail, seen, first_at AS "firstAt", last_at AS "lastAt", resolved_at AS "resolvedAt"
       FROM mirror.incident WHERE network = $1 ORDER BY resolved_at IS NULL DESC, id DESC LIMIT $2`,
      [network, MOST_INCIDENTS],
    );
  }

  /** Missing sequences, looked for only when the count says that there are some. */
  gaps(network: string, through: string): Promise<{ after: string; before: string }[]> {
    return this.dataSource.query(
      `SELECT after::text, before::text FROM (
         SELECT sequence AS before, lag(sequence, 1, 0::bigint) OVER (ORDER BY sequence) AS after
         FROM (SELECT sequence FROM mirror.emr_event WHERE network = $1 UNION ALL SELECT $2::bigint + 1) s
       ) g WHERE before > after + 1 ORDER BY before LIMIT 100`,
      [network, through],
    );
  }
}
