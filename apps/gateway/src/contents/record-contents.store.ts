import { Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';

/** Names one stored content: the request that brought it tells two tries at one version apart. */
export interface VersionKey {
  recordId: Buffer;
  version: number;
  requestId: Buffer;
}

export interface StoredContent {
  manifest: Buffer;
  content_hash: Buffer;
  ciphertext: Buffer;
}

@Injectable()
export class RecordContentsStore {
  constructor(private readonly dataSource: DataSource) {}

  async insert(
    manager: EntityManager,
    key: VersionKey,
    content: { manifest: Buffer; contentHash: Buffer; ciphertext: Buffer },
    dek: { kekId: string; bytes: Buffer },
  ): Promise<void> {
    const place = [key.recordId, key.version, key.requestId];
    await manager.query(
      `INSERT INTO gateway.record_content (record_id, version, request_id, manifest, content_hash, ciphertext)
       VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT ON CONSTRAINT pk_record_content DO NOTHING`,
      [...place, content.manifest, content.contentHash, content.ciphertext],
    );
    await manager.query(
      `INSERT INTO gateway.record_key (record_id, version, request_id, kek_id, wrapped_dek)
       VALUES ($1, $2, $3, $4, $5) ON CONFLICT ON CONSTRAINT pk_record_key DO NOTHING`,
      [...place, dek.kekId, dek.bytes],
    );
  }

  async find(key: VersionKey): Promise<StoredContent | undefined> {
    const rows: StoredContent[] = await this.dataSource.query(
      `SELECT manifest, content_hash, ciphertext FROM gateway.record_content
       WHERE record_id = $1 AND version = $2 AND request_id = $3`,
      [key.recordId, key.version, key.requestId],
    );
    return rows[0];
  }

  async findKey(key: VersionKey): Promise<{ kekId: string; bytes: Buffer } | undefined> {
    const rows: { kekId: string; bytes: Buffer }[] = await this.dataSource.query(
      `SELECT kek_id AS "kekId", wrapped_dek AS bytes FROM gateway.record_key
       WHERE record_id = $1 AND version = $2 AND request_id = $3`,
      [key.recordId, key.version, key.requestId],
    );
    return rows[0];
  }

  /** The stored content behind a version of this hospital's own record, as the ledger's mirror confirms it. */
  async findConfirmed(network: string, recordId: Buffer, version: number): Promise<VersionKey | undefined> {
    const rows: { request_id: Buffer }[] = await this.dataSource.query(
      `SELECT c.request_id FROM mirror.record_version v
       JOIN gateway.record_content c USING (record_id, version, request_id, content_hash)
       WHERE v.network = $1 AND v.record_id = $2 AND v.version = $3`,
      [network, recordId, version],
    );
    return rows[0] && { recordId, version, requestId: rows[0].request_id };
  }

  /**
   * Marks what the ledger confirmed, and removes content, key and patient link of what it refused or what will never be sent.
   * @param hospital only its own acts decide: on a shared ledger another's may bear the same request id
   * @returns how many contents were removed
   */
  async settle(hospital: number): Promise<number> {
    const [, count]: [unknown, number] = await this.dataSource.query(
      `
      WITH decided AS (
        SELECT c.record_id, c.version, c.request_id, coalesce(e.outcome = 0, false) AS kept
        FROM gateway.record_content c
        LEFT JOIN mirror.emr_event e ON e.request_id = c.request_id AND e.hospital = $1
        LEFT JOIN mirror.cursor u ON u.network = e.network
        LEFT JOIN gateway.operation o ON o.request_id = c.request_id
        WHERE NOT c.settled
          AND (e.block_number <= u.final_number OR (e.request_id IS NULL AND o.phase IN ('failed', 'cancelled')))
      ), kept AS (
        UPDATE gateway.record_content c SET settled = true FROM decided d
        WHERE d.kept AND c.record_id = d.record_id AND c.version = d.version AND c.request_id = d.request_id
      ), keys AS (
        DELETE FROM gateway.record_key k USING decided d
        WHERE NOT d.kept AND k.record_id = d.record_id AND k.version = d.version AND k.request_id = d.request_id
      ), links AS (
        DELETE FROM gateway.patient_record p USING decided d
        WHERE NOT d.kept AND d.version = 1 AND p.record_id = d.record_id
          AND NOT EXISTS (SELECT FROM mirror.record r WHERE r.record_id = d.record_id)
      )
      DELETE FROM gateway.record_content c USING decided d
      WHERE NOT d.kept AND c.record_id = d.record_id AND c.version = d.version AND c.request_id = d.request_id`,
      [hospital],
    );
    return count;
  }
}
