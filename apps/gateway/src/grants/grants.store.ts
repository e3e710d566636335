import { Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';

export interface GrantRow {
  network: string;
  recordId: Buffer;
  grantId: Buffer;
  grantee: Buffer;
  hospital: number;
  operations: number;
  purpose: number;
  notBefore: number;
  notAfter: number;
  consentHash: Buffer;
  grantedBy: Buffer;
  grantedAt: number;
  revokedAt: number | null;
}

const COLUMNS = `network, record_id AS "recordId", grant_id AS "grantId", grantee, grantee_hospital::float8 AS hospital,
  operations::float8 AS operations, purpose, not_before::float8 AS "notBefore", not_after::float8 AS "notAfter",
  consent_hash AS "consentHash", granted_by AS "grantedBy", granted_at::float8 AS "grantedAt", revoked_at::float8 AS "revokedAt"`;

/** One version of a record, as the ledger has it. */
export interface PublishableVersion {
  version: number;
  contentHash: Buffer;
  actor: Buffer;
}

@Injectable()
export class GrantsStore {
  constructor(private readonly dataSource: DataSource) {}

  async find(grantId: Buffer): Promise<GrantRow | undefined> {
    const rows: GrantRow[] = await this.dataSource.query(
      `SELECT ${COLUMNS} FROM mirror.access_grant WHERE grant_id = $1`,
      [grantId],
    );
    return rows[0];
  }

  /** Newest first, keyset on (granted at, grant id). */
  list(
    recordId: Buffer,
    before: { grantedAt: number; grantId: Buffer } | undefined,
    limit: number,
  ): Promise<GrantRow[]> {
    return this.dataSource.query(
      `SELECT ${COLUMNS} FROM mirror.access_grant
       WHERE record_id = $1 AND ($2::bigint IS NULL OR (granted_at, grant_id) < ($2, $3))
       ORDER BY granted_at DESC, grant_id DESC LIMIT $4`,
      [recordId, before?.grantedAt ?? null, before?.grantId ?? null, limit],
    );
  }

  /** A record's versions on one network, oldest first. */
  versions(network: string, recordId: Buffer): Promise<PublishableVersion[]> {
    return this.dataSource.query(
      `SELECT version, content_hash AS "contentHash", actor FROM mirror.record_version
       WHERE network = $1 AND record_id = $2 ORDER BY version`,
      [network, recordId],
    );
  }
}
