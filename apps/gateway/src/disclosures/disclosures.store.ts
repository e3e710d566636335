import { Inject, Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { Purpose } from '../../../../libs/contracts/src/operations.js';
import type { NetworksConfig } from '../../../../libs/platform/src/networks.js';
import { NETWORKS } from '../core.tokens.js';
import { GATEWAY_ENV, type GatewayEnv } from '../gateway.env.js';
import type { StaffRow } from './staff.service.js';

/** Whose disclosures: of the records of a log-in's patient, of an identifier's patient, or of one record of this hospital. */
export interface DisclosureScope {
  account?: Buffer;
  identifierIndex?: Buffer;
  recordId?: Buffer;
}

/** Block times, unix seconds; `to` exclusive. */
export interface TimeWindow {
  from: number;
  to: number;
}

export interface DisclosureRow extends StaffRow {
  network: string;
  sequence: string;
  /** Unix seconds. */
  time: number;
  type: 'TransferAccepted' | 'RecordQueried';
  recordId: Buffer;
  /** Of the recipient. */
  hospital: number;
  purpose: number | null;
  /** Of a transfer: why, as it was given here. */
  reason: string | null;
  /** Of a transfer; a query's is in its event. */
  version: number | null;
  handedOverAt: Date | null;
  topics: Buffer;
  data: Buffer;
}

export type EventPosition = [time: number, network: string, sequence: string];

/** Looks here that are no disclosure to anybody: for treatment, or the patient's own. */
const OWN_USE = [Purpose.TREAT, Purpose.ETREAT, Purpose.PATRQT];

@Injectable()
export class DisclosuresStore {
  readonly #networks: string[];

  constructor(
    private readonly dataSource: DataSource,
    @Inject(NETWORKS) networks: NetworksConfig,
    @Inject(GATEWAY_ENV) private readonly env: GatewayEnv,
  ) {
    this.#networks = [...new Set([networks.local, networks.global])];
  }

  /** Newest first by (block time, network, sequence): final events alone. */
  list(
    scope: DisclosureScope,
    window: TimeWindow,
    before: EventPosition | undefined,
    limit: number,
  ): Promise<DisclosureRow[]> {
    const { account = null, identifierIndex = null, recordId = null } = scope;
    const [time, network, sequence] = before ?? [null, null, null];
    return this.dataSource.query(LIST, [
      ...[account, identifierIndex, recordId, this.#networks, this.env.HOSPITAL_ID],
      ...[window.from, window.to, time, network, sequence, limit, OWN_USE],
    ]);
  }
}

/*
 * From the records of one patient to their events, by index; a patient has few. TransferAccepted names its transfer in the first word after the
 * frame of five: a package can't be accepted without having been opened, so that is when the copy is known to have arrived.
 */
const LIST = `
WITH scope AS MATERIALIZED (
  SELECT pr.record_id, pr.subject_address FROM gateway.patient_record pr
  WHERE ($1::bytea IS NULL OR pr.patient_id IN (SELECT pa.patient_id FROM gateway.patient_account pa WHERE pa.account_index = $1))
    AND ($2::bytea IS NULL OR pr.patient_id IN (SELECT p.id FROM gateway.patient p WHERE p.identifier_index = $2))
    AND ($3::bytea IS NULL OR pr.record_id = $3)
)
SELECT e.network, e.sequence, e.block_time::float8 AS time, e.type, e.record_id AS "recordId", e.actor, NULL::bytea AS principal,
  CASE WHEN e.type = 'TransferAccepted' THEN t.to_hospital ELSE e.hospital END::float8 AS hospital, e.purpose, g.reason, t.version,
  a.roles, k.subject, coalesce(e.actor = s.subject_address, false) AS self, left_at.at AS "handedOverAt", e.topics, e.data
FROM scope s
JOIN mirror.emr_event e ON e.record_id = s.record_id AND e.network = ANY($4) AND e.type IN ('TransferAccepted', 'RecordQueried')
JOIN mirror.cursor c ON c.network = e.network AND e.block_number <= c.final_number
LEFT JOIN mirror.transfer t ON e.type = 'TransferAccepted' AND t.network = e.network AND t.transfer_id = substring(e.data FROM 161 FOR 32)
LEFT JOIN gateway.transfer g ON g.id = t.transfer_id
LEFT JOIN LATERAL (SELECT a.roles FROM mirror.actor a WHERE a.network = e.network AND a.address = e.actor) a ON true
LEFT JOIN gateway.actor_key k ON k.address = e.actor AND k.kind = 'actor'
LEFT JOIN LATERAL (
  SELECT min(l.at) AS at FROM gateway.access_log l WHERE l.record_id = e.record_id AND (
    e.type = 'TransferAccepted' AND l.kind = 'transfer-package' AND l.request_id = t.transfer_id
    OR e.type = 'RecordQueried' AND l.kind IN ('release', 'release-to-hospital') AND l.request_id = e.request_id)
) left_at ON true
WHERE (e.type = 'TransferAccepted' AND t.from_hospital = $5
    OR e.type = 'RecordQueried' AND (e.hospital <> $5 OR e.actor <> s.subject_address AND e.purpose <> ALL($12::int[])))
  AND e.block_time >= $6 AND e.block_time < $7
  AND ($8::bigint IS NULL OR (e.block_time, e.network COLLATE "C", e.sequence) < ($8, $9, $10))
ORDER BY e.block_time DESC, e.network COLLATE "C" DESC, e.sequence DESC LIMIT $11`;
