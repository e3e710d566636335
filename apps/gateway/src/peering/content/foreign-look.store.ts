import { Inject, Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import type { NetworksConfig } from '../../../../../libs/platform/src/networks.js';
import { hospitalPrincipal } from '../../audit/access-log.service.js';
import { NETWORKS } from '../../core.tokens.js';
import { GATEWAY_ENV, type GatewayEnv } from '../../gateway.env.js';
import { NOW } from '../../policy/standing.sql.js';

/** A final query of another hospital's actor for a record of this one. */
export interface ForeignLook {
  recordId: Buffer;
  actor: Buffer;
  version: number;
  /** Of that version as published on the global ledger. */
  contentHash: Buffer;
  expired: boolean;
  /** Actor active, and the grant it named still in force. */
  standing: boolean;
}

/* Words of a RecordQueried event's data after the frame of five: version, purpose, ttl, basis. The last four bytes of a word, 0-based. */
const uint32At = (end: number) =>
  `(get_byte(e.data, ${end - 4})::bigint << 24 | get_byte(e.data, ${end - 3}) << 16 | get_byte(e.data, ${end - 2}) << 8 | get_byte(e.data, ${end - 1}))`;
const VERSION = uint32At(6 * 32);
const TTL = uint32At(8 * 32);
const BASIS = 'substring(e.data FROM 257 FOR 32)';

@Injectable()
export class ForeignLookStore {
  readonly #global: string;
  readonly #hospital: number;

  constructor(
    private readonly dataSource: DataSource,
    @Inject(NETWORKS) networks: NetworksConfig,
    @Inject(GATEWAY_ENV) env: GatewayEnv,
  ) {
    this.#global = networks.global;
    this.#hospital = env.HOSPITAL_ID;
  }

  /** The query with this request id, asked by an actor of hospital `from`; undefined when the global ledger has no such final event. */
  async find(from: number, requestId: Buffer): Promise<ForeignLook | undefined> {
    const rows: ForeignLook[] = await this.dataSource.query(
      `SELECT e.record_id AS "recordId", e.actor, ${VERSION}::int AS version, v.content_hash AS "contentHash",
         e.block_time + ${TTL} <= ${NOW} AS expired,
         (EXISTS (SELECT FROM mirror.actor a
            WHERE a.network = e.network AND a.address = e.actor AND a.hospital = e.hospital AND a.active)
          AND EXISTS (SELECT FROM mirror.access_grant g
            WHERE g.network = e.network AND g.record_id = e.record_id AND g.grant_id = ${BASIS}
              AND g.revoked_at IS NULL AND (g.not_after = 0 OR g.not_after >= ${NOW}))) AS standing
       FROM mirror.emr_event e
       JOIN mirror.cursor c ON c.network = e.network AND e.block_number <= c.final_number
       JOIN mirror.record r ON r.network = e.network AND r.record_id = e.record_id AND r.custodian = $4
       JOIN mirror.record_version v ON v.network = e.network AND v.record_id = e.record_id AND v.version = ${VERSION}
       WHERE e.network = $1 AND e.request_id = $2 AND e.hospital = $3 AND e.type = 'RecordQueried'`,
      [this.#global, requestId, from, this.#hospital],
    );
    return rows[0];
  }

  /** Writes the release into the access log, before anything leaves. */
  async logRelease(from: number, requestId: Buffer, look: ForeignLook): Promise<void> {
    await this.dataSource.query(
      `INSERT INTO gateway.access_log (principal, actor, kind, record_id, request_id, detail)
       VALUES ($1, $2, 'release-to-hospital', $3, $4, jsonb_build_object('version', $5::int, 'hospital', $6::bigint))`,
      [hospitalPrincipal(from), look.actor, look.recordId, requestId, look.version, from],
    );
  }
}
