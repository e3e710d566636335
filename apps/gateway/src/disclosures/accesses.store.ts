import { Inject, Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { Operation } from '../../../../libs/contracts/src/operations.js';
import type { NetworksConfig } from '../../../../libs/platform/src/networks.js';
import type { LookKind } from '../audit/look.js';
import { NETWORKS } from '../core.tokens.js';
import { GATEWAY_ENV, type GatewayEnv } from '../gateway.env.js';
import type { StaffRow } from './staff.service.js';

export interface AccessRow extends StaffRow {
  /** Microseconds since 1970, as a decimal string. */
  time: string;
  /** Network of an event; empty for an entry of the access log. */
  source: string;
  /** Sequence of the event, id of the entry. */
  ordinal: string;
  kind: 'access-request' | LookKind;
  hospital: number;
  outcome: number;
  purpose: number | null;
  requestId: Buffer | null;
  /** Of an entry of the access log. */
  detail: { version?: number; refused?: boolean } | null;
  /** Of the ledger's event that asked; null where there is none. */
  topics: Buffer | null;
  data: Buffer | null;
}

export type AccessPosition = [time: string, source: string, ordinal: string];

/** Looks at how one's own act stands: they show nothing of the record. */
const NOT_SHOWN: LookKind[] = ['query', 'operation', 'operation-list', 'operation-cancellation'];

@Injectable()
export class AccessesStore {
  readonly #local: string;
  readonly #networks: string[];

  constructor(
    private readonly dataSource: DataSource,
    @Inject(NETWORKS) networks: NetworksConfig,
    @Inject(GATEWAY_ENV) private readonly env: GatewayEnv,
  ) {
    this.#local = networks.local;
    this.#networks = [...new Set([networks.local, networks.global])];
  }

  /** Whether a record of this hospital is about the patient that the log-in with this blind index stands for. */
  async isOf(recordId: Buffer, account: Buffer): Promise<boolean> {
    const rows: unknown[] = await this.dataSource.query(
      `SELECT 1 FROM gateway.patient_record pr JOIN gateway.patient_account pa USING (patient_id)
       WHERE pr.record_id = $1 AND pa.account_index = $2`,
      [recordId, account],
    );
    return rows.length > 0;
  }

  /**
   * Newest first by (time, source, ordinal): final requests on the ledgers, and what the access log has about the record.
   * @param principal of the reader, whose own looks are marked
   * @param window microseconds since 1970 as decimal strings; `to` exclusive
   */
  list(
    recordId: Buffer,
    principal: Buffer,
    window: { from: string | undefined; to: string | undefined },
    before: AccessPosition | undefined,
    limit: number,
  ): Promise<AccessRow[]> {
    const [time, source, ordinal] = before ?? [null, null, null];
    return this.dataSource.query(LIST, [
      ...[recordId, this.#networks, principal, this.#local, this.env.HOSPITAL_ID, NOT_SHOWN],
      ...[window.from ?? null, window.to ?? null, time, source, ordinal, limit],
    ]);
  }
}

const instant = (parameter: string) => `'epoch'::timestamptz + ${parameter}::bigint * interval '1 microsecond'`;

/* Either side walks its own index on the record, newest first, and gives a page at most; the outer query merges them. */
const LIST = `
WITH of_ledger AS (
  SELECT e.block_time * 1000000 AS time, e.network AS source, e.sequence AS ordinal, 'access-request' AS kind, e.hospital, e.actor,
    NULL::bytea AS principal, e.outcome::int, e.purpose::int, e.request_id, NULL::jsonb AS detail, e.topics, e.data
  FROM mirror.emr_event e JOIN mirror.cursor c ON c.network = e.network AND e.block_number <= c.final_number
  WHERE e.record_id = $1 AND e.network = ANY($2) AND e.operation = ${Operation.QUERY}
    AND ($7::bigint IS NULL OR e.block_time * 1000000 >= $7) AND ($8::bigint IS NULL OR e.block_time * 1000000 < $8)
    AND ($9::bigint IS NULL OR (e.block_time * 1000000, e.network COLLATE "C", e.sequence) < ($9, $10, $11::bigint))
  ORDER BY e.block_time DESC, e.network COLLATE "C" DESC, e.sequence DESC LIMIT $12
), of_log AS (
  SELECT (extract(epoch FROM l.at) * 1000000)::bigint AS time, '' AS source, l.id AS ordinal, l.kind,
    CASE WHEN l.kind IN ('release-to-hospital', 'transfer') THEN coalesce((l.detail->>'hospital')::bigint, $5) ELSE $5 END AS hospital, l.actor, l.principal,
    0 AS outcome, e.purpose::int, l.request_id, l.detail, e.topics, e.data
  FROM gateway.access_log l
  LEFT JOIN LATERAL (SELECT e.purpose, e.topics, e.data FROM mirror.emr_event e
    WHERE l.kind LIKE 'release%' AND e.request_id = l.request_id AND e.record_id = l.record_id AND e.type = 'RecordQueried' LIMIT 1) e ON true
  WHERE l.record_id = $1 AND l.kind <> ALL($6::text[])
    AND ($7::bigint IS NULL OR l.at >= ${instant('$7')}) AND ($8::bigint IS NULL OR l.at < ${instant('$8')})
    AND ($9::bigint IS NULL OR l.at <= ${instant('$9')} AND ((extract(epoch FROM l.at) * 1000000)::bigint, '' COLLATE "C", l.id) < ($9, $10, $11::bigint))
  ORDER BY l.at DESC, l.id DESC LIMIT $12
)
SELECT x.time, x.source, x.ordinal, x.kind, x.hospital::float8 AS hospital, x.actor, x.principal, x.outcome, x.purpose,
  x.request_id AS "requestId", x.detail, x.topics, x.data, a.roles, k.subject,
  coalesce(x.principal = $3, false) OR coalesce(x.actor = pr.subject_address, false) AS self
FROM (SELECT * FROM of_ledger UNION ALL SELECT * FROM of_log) x
LEFT JOIN gateway.patient_record pr ON pr.record_id = $1
LEFT JOIN LATERAL (SELECT a.roles FROM mirror.actor a WHERE a.address = x.actor ORDER BY a.network = $4 DESC LIMIT 1) a ON true
LEFT JOIN gateway.actor_key k ON k.address = x.actor AND k.kind = 'actor'
ORDER BY x.time DESC, x.source COLLATE "C" DESC, x.ordinal DESC LIMIT $12`;
