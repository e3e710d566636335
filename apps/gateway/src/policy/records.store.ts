import { Inject, Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import type { NetworksConfig } from '../../../../libs/platform/src/networks.js';
import { NETWORKS } from '../core.tokens.js';
import { GATEWAY_ENV, type GatewayEnv } from '../gateway.env.js';
import type { LedgerRecord, RecordFilter, Viewer } from './ledger-record.js';
import { grantReaches, related, relatedTeams } from './standing.sql.js';

const COLUMNS = `r.network, r.record_id AS "recordId", r.custodian::float8 AS custodian, r.version, r.content_hash AS "contentHash",
  r.level, r.subject, r.status, r.frozen_by AS "frozenBy", r.origin, r.opened_request_id AS "openedRequestId",
  r.opened_at::float8 AS "openedAt"`;

/** A hospital's own records are read on its local network, other hospitals' on the global one. */
@Injectable()
export class RecordsStore {
  readonly #local: string;
  readonly #global: string;
  readonly #hospital: number;

  constructor(
    private readonly dataSource: DataSource,
    @Inject(NETWORKS) networks: NetworksConfig,
    @Inject(GATEWAY_ENV) env: GatewayEnv,
  ) {
    this.#local = networks.local;
    this.#global = networks.global;
    this.#hospital = env.HOSPITAL_ID;
  }

  async find(recordId: Buffer): Promise<LedgerRecord | undefined> {
    const rows: LedgerRecord[] = await this.dataSource.query(
      `SELECT ${COLUMNS} FROM mirror.record r WHERE r.record_id = $1 AND r.network IN ($2, $3)
       ORDER BY r.network = $2 DESC LIMIT 1`,
      [recordId, this.#local, this.#global],
    );
    return rows[0];
  }

  /** Whether a record stands on the global network, published by its custodian. */
  async isPublished(recordId: Buffer): Promise<boolean> {
    const rows: unknown[] = await this.dataSource.query(
      'SELECT 1 FROM mirror.record WHERE network = $1 AND record_id = $2',
      [this.#global, recordId],
    );
    return rows.length > 0;
  }

  async isVisible(recordId: Buffer, viewer: Viewer): Promise<boolean> {
    const rows: unknown[] = await this.dataSource.query(
      `SELECT 1 FROM mirror.record r WHERE r.record_id = $7 AND ${IN_SCOPE} AND ${VISIBLE}`,
      [...this.#viewer(viewer), recordId],
    );
    return rows.length > 0;
  }

  /** Newest first, keyset on (opened at, record id). */
  list(viewer: Viewer, filter: RecordFilter): Promise<LedgerRecord[]> {
    const values: unknown[] = [...this.#viewer(viewer), filter.limit];
    const conditions = [IN_SCOPE, VISIBLE, ...(viewer.seesAll ? [] : [`r.record_id IN (${CANDIDATES})`])];
    if (filter.before) {
      values.push(filter.before.openedAt, filter.before.recordId);
      conditions.push(`(r.opened_at, r.record_id) < ($${values.length - 1}, $${values.length})`);
    }
    if (filter.identifierIndex) {
      values.push(filter.identifierIndex);
      conditions.push(`r.record_id IN (SELECT pr.record_id FROM gateway.patient_record pr
        JOIN gateway.patient p ON p.id = pr.patient_id WHERE p.identifier_index = $${values.length})`);
    }
    return this.dataSource.query(
      `SELECT ${COLUMNS} FROM mirror.record r WHERE ${conditions.join(' AND ')}
       ORDER BY r.opened_at DESC, r.record_id DESC LIMIT $7`,
      values,
    );
  }

  /** $1 to $6 of the conditions below. */
  #viewer({ actor, account, seesAll }: Viewer): unknown[] {
    // No address and no index is empty: nobody stands in any relation under it.
    const nobody = Buffer.alloc(0);
    return [actor ?? nobody, account ?? nobody, seesAll, this.#hospital, this.#local, this.#global];
  }
}

// $1 actor, $2 account, $3 sees all, $4 hospital, $5 local network, $6 global network
const IN_SCOPE = '(r.network = $5 OR (r.network = $6 AND r.custodian <> $4))';

const OF_ACCOUNT = `SELECT pr.record_id FROM gateway.patient_record pr JOIN gateway.patient_account pa USING (patient_id)
  WHERE pa.account_index = $2`;

const VISIBLE = `(($3 AND r.custodian = $4)
  OR ${related('r.network', 'r.record_id', '$1')}
  OR EXISTS (${relatedTeams('r.network', 'r.record_id', '$1', '$4')})
  OR EXISTS (SELECT FROM mirror.access_grant g
    WHERE g.network = r.network AND g.record_id = r.record_id AND ${grantReaches('g', '$1', '$4')})
  OR r.record_id IN (${OF_ACCOUNT}))`;

/** A superset of what is visible without an office, found by index: the list must not walk every record of the hospital. */
const CANDIDATES = `
  SELECT rel.record_id FROM mirror.relation rel
  WHERE rel.party = $1 OR rel.party IN (SELECT tm.team FROM mirror.team_member tm WHERE tm.member = $1)
  UNION SELECT g.record_id FROM mirror.access_grant g
  WHERE g.grantee IN ($1, '\\x${'00'.repeat(20)}'::bytea) OR g.grantee IN (SELECT tm.team FROM mirror.team_member tm WHERE tm.member = $1)
  UNION ${OF_ACCOUNT}`;
