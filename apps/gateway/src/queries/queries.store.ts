import { Inject, Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { Operation } from '../../../../libs/contracts/src/operations.js';
import { binaryArray } from '../../../../libs/database/src/binary-array.js';
import { pooled, type Query } from '../../../../libs/database/src/transaction.js';
import type { NetworksConfig } from '../../../../libs/platform/src/networks.js';
import { NETWORKS } from '../core.tokens.js';
import { GATEWAY_ENV, type GatewayEnv } from '../gateway.env.js';
import {
  found,
  grantAllows,
  grantReaches,
  memberOf,
  NOW,
  OWN_BASIS,
  related,
  relatedTeams,
} from '../policy/standing.sql.js';

export interface Target {
  network: string;
  version: number;
  /** What the query would stand on when it names nothing: the own relation (zeros), a team's word, or a grant id. */
  basis: Buffer;
}

export interface TargetKey {
  recordId: Buffer;
  actor: Buffer;
  purpose: number;
}

export interface ReleaseKey {
  requestId: Buffer;
  principal: Buffer;
  /** Blind index of a patient's log-in: what they asked as the record's subject stands while the log-in stands for the patient. */
  account: Buffer | null;
  /** Whether this is a release, or a look at how the query stands. Either is written to the access log by the statement that decides it. */
  release: boolean;
}

/** Everything about one query of one principal, as of one snapshot. */
export interface QueryRow {
  operationId: string;
  network: string;
  recordId: Buffer;
  requestId: Buffer;
  parameters: Buffer;
  sequence: string | null;
  outcome: number | null;
  /** The event's block is final. */
  final: boolean;
  transactionHash: Buffer | null;
  blockTime: number | null;
  expired: boolean;
  /** Actor active, and what the query stood on still in force. */
  standing: boolean;
  custodian: number | null;
  version: number | null;
  contentHash: Buffer | null;
  contentRequestId: Buffer | null;
  kekId: string | null;
  wrappedDek: Buffer | null;
}

const MAY_LOOK_AT_LEVEL_0 = 1 | 2 | 16; // Records.sol
const ROLE_BITS_LOOK = 1 | 2 | 4 | 8 | 16;

/** Two statements, each for many queries at once: where a query goes, and what may be released of it. */
@Injectable()
export class QueriesStore {
  readonly #local: string;
  readonly #global: string;
  readonly #hospital: number;

  readonly #query: Query;

  constructor(
    dataSource: DataSource,
    @Inject(NETWORKS) networks: NetworksConfig,
    @Inject(GATEWAY_ENV) env: GatewayEnv,
  ) {
    this.#local = networks.local;
    this.#global = networks.global;
    this.#hospital = env.HOSPITAL_ID;
    this.#query = pooled(dataSource);
  }

  /** In the order of `keys`; undefined where no ledger here has the record. */
  async targets(keys: readonly TargetKey[]): Promise<(Target | undefined)[]> {
    const rows = await this.#query<Target | { network: null }>({ name: 'query-targets', text: TARGETS }, [
      binaryArray(
        'bytea',
        keys.map((key) => key.recordId),
      ),
      binaryArray(
        'bytea',
        keys.map((key) => key.actor),
      ),
      binaryArray(
        'int4',
        keys.map((key) => key.purpose),
      ),
      this.#hospital,
      this.#local,
      this.#global,
    ]);
    return rows.map((row) => (row.network === null ? undefined : row));
  }

  /** In the order of `keys`; undefined where this principal never asked such a query. */
  async look(keys: readonly ReleaseKey[]): Promise<(QueryRow | undefined)[]> {
    const rows = await this.#query<QueryRow & { n: number }>({ name: 'query-look', text: LOOK }, [
      binaryArray(
        'bytea',
        keys.map((key) => key.requestId),
      ),
      binaryArray(
        'bytea',
        keys.map((key) => key.principal),
      ),
      binaryArray(
        'bool',
        keys.map((key) => key.release),
      ),
      this.#hospital,
      this.#local,
      this.#global,
      binaryArray(
        'bytea',
        keys.map((key) => key.account),
      ),
    ]);
    const found: (QueryRow | undefined)[] = keys.map(() => undefined);
    for (const row of rows) found[row.n - 1] = row;
    return found;
  }
}

const TARGETS = `
SELECT r.network, r.version, CASE
    WHEN r.network IS NULL THEN NULL
    WHEN r.custodian = $4 AND (r.level = 0 OR ${related('r.network', 'r.record_id', 'q.actor')}) THEN ${OWN_BASIS}
    ELSE coalesce(
      (SELECT decode(repeat('00', 12), 'hex') || t.party FROM (${relatedTeams('r.network', 'r.record_id', 'q.actor', '$4')}) t LIMIT 1),
      (SELECT g.grant_id FROM mirror.access_grant g
        WHERE g.network = r.network AND g.record_id = r.record_id
          AND ${grantReaches('g', 'q.actor', '$4')} AND ${grantAllows('g', Operation.QUERY, 'q.purpose')} LIMIT 1),
      ${OWN_BASIS})
  END AS basis
FROM unnest((SELECT $1::bytea[]), (SELECT $2::bytea[]), (SELECT $3::int[])) WITH ORDINALITY AS q(record_id, actor, purpose, n)
LEFT JOIN LATERAL (
  SELECT r.* FROM mirror.record r WHERE r.record_id = q.record_id AND r.network IN ($5, $6)
  ORDER BY r.network = $5 DESC LIMIT 1
) r ON true
ORDER BY q.n`;

/*
 * A RecordQueried event's data: five words of frame, then version, purpose, ttl, basis (event.codec.ts). The number in a word's last
 * four bytes is read with get_byte, 0-based.
 */
const uint32At = (end: number) =>
  `((get_byte(e.data, ${end - 4})::bigint << 24) | (get_byte(e.data, ${end - 3}) << 16) | (get_byte(e.data, ${end - 2}) << 8) | get_byte(e.data, ${end - 1}))`;
const VERSION = uint32At(6 * 32);
const PURPOSE = uint32At(7 * 32);
const TTL = uint32At(8 * 32);
const BASIS = 'substring(e.data FROM 257 FOR 32)';
const TEAM = 'substring(e.data FROM 269 FOR 20)';
const IS_TEAM = `substring(e.data FROM 257 FOR 12) = '\\x${'00'.repeat(12)}'::bytea`;

/** A refusal's data is shorter, and get_byte fails beyond the end: only CASE keeps the planner from reading it all the same. */
const queried = (expression: string) => `CASE WHEN e.outcome = 0 THEN ${expression} END`;

const STANDING = `(
  r.subject = e.actor AND r.custodian = $4 AND ${found(`FROM gateway.patient_record pr JOIN gateway.patient_account pa USING (patient_id)
    WHERE pr.record_id = e.record_id AND pa.account_index = q.account`)}
  OR a.active AND a.hospital = $4 AND (a.roles & ${ROLE_BITS_LOOK}) <> 0 AND CASE
    WHEN b.basis = ${OWN_BASIS} THEN r.custodian = $4
      AND ((r.level = 0 AND (a.roles & ${MAY_LOOK_AT_LEVEL_0}) <> 0) OR ${related('e.network', 'e.record_id', 'e.actor')})
    WHEN b.is_team THEN r.custodian = $4 AND ${related('e.network', 'e.record_id', 'b.team')}
      AND ${memberOf('e.network', '$4', 'b.team', 'e.actor')}
    ELSE ${found(`FROM mirror.access_grant g WHERE g.network = e.network AND g.record_id = e.record_id AND g.grant_id = b.basis
      AND ${grantReaches('g', 'e.actor', '$4')} AND ${grantAllows('g', Operation.QUERY, 'b.purpose')}`)}
  END)`;

/*
 * Each join is a look-up by key of one row. LATERAL with LIMIT keeps it that even where the planner knows nothing of the tables yet (a young
 * database, a bulk load): joined the plain way, it reads whole tables into hashes, a hundred times slower. IS TRUE keeps the one selective index
 * of emr_event from being combined with others. (SELECT $1) hides how long the arrays are: else one plan for all looks dearer to the planner
 * than a new one for each run, and planning is what takes time here.
 */
const LOOK = `
WITH looked AS MATERIALIZED (
  SELECT q.n, q.release, o.principal, o.id AS "operationId", o.network, o.record_id AS "recordId", o.request_id AS "requestId",
    o.parameters, o.actor, e.sequence, e.outcome, coalesce(e.block_number <= u.final_number, false) AS final,
    e.transaction_hash AS "transactionHash", e.block_time::float8 AS "blockTime",
    coalesce(e.block_time + b.ttl <= ${NOW}, false) AS expired, coalesce(${STANDING}, false) AS standing,
    r.custodian::float8 AS custodian, b.version, v.content_hash AS "contentHash", v.request_id AS "contentRequestId",
    k.kek_id AS "kekId", k.wrapped_dek AS "wrappedDek"
  FROM unnest((SELECT $1::bytea[]), (SELECT $2::bytea[]), (SELECT $3::boolean[]), (SELECT $7::bytea[]))
    WITH ORDINALITY AS q(request_id, principal, release, account, n)
  CROSS JOIN LATERAL (SELECT * FROM gateway.operation o WHERE o.network IN ($5, $6) AND o.request_id = q.request_id
    AND o.principal = q.principal AND o.code = ${Operation.QUERY} LIMIT 1) o
  LEFT JOIN LATERAL (SELECT * FROM mirror.emr_event e WHERE e.request_id = o.request_id
    AND (e.network = o.network AND e.hospital = $4) IS TRUE LIMIT 1) e ON true
  LEFT JOIN LATERAL (SELECT u.final_number FROM mirror.cursor u WHERE u.network = e.network LIMIT 1) u ON true
  LEFT JOIN LATERAL (
    SELECT ${queried(VERSION)}::int AS version, ${queried(PURPOSE)}::int AS purpose, ${queried(TTL)} AS ttl, ${queried(BASIS)} AS basis,
      ${queried(TEAM)} AS team, ${queried(IS_TEAM)} AS is_team
  ) b ON true
  LEFT JOIN LATERAL (SELECT * FROM mirror.record r WHERE r.network = e.network AND r.record_id = e.record_id LIMIT 1) r ON true
  LEFT JOIN LATERAL (SELECT * FROM mirror.actor a WHERE a.network = e.network AND a.address = e.actor LIMIT 1) a ON true
  LEFT JOIN LATERAL (SELECT * FROM mirror.record_version v WHERE v.network = e.network AND v.record_id = e.record_id
    AND v.version = b.version LIMIT 1) v ON true
  LEFT JOIN LATERAL (SELECT k.kek_id, k.wrapped_dek FROM gateway.record_key k WHERE k.record_id = v.record_id
    AND k.version = v.version AND k.request_id = v.request_id LIMIT 1) k ON true
), released AS (
  INSERT INTO gateway.access_log (principal, actor, kind, record_id, request_id, detail)
  SELECT principal, actor, kind, "recordId", "requestId", CASE WHEN kind <> 'query'
    THEN jsonb_build_object('version', version, 'sequence', sequence, 'network', network) ELSE '{}' END
  FROM looked CROSS JOIN LATERAL (SELECT CASE WHEN NOT release THEN 'query' WHEN final AND outcome = 0
    THEN CASE WHEN standing AND NOT expired THEN 'release' ELSE 'release-refused' END END AS kind) k
  WHERE kind IS NOT NULL
)
SELECT n::int, "operationId", network, "recordId", "requestId", parameters, sequence, outcome, final, "transactionHash", "blockTime",
  expired, standing, custodian, version, "contentHash", "contentRequestId", "kekId", "wrappedDek"
FROM looked`;
