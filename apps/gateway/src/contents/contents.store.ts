import { Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';

export interface ContentRow {
  id: string;
  media_type: string;
  size: number;
  sha256: Buffer;
  expires_at: Date;
}

export interface NewContent {
  id: string;
  principal: Buffer;
  idempotencyHash: Buffer;
  mediaType: string;
  size: number;
  sha256: Buffer;
  sealed: Buffer;
}

const LIFETIME = "interval '1 hour'";

@Injectable()
export class ContentsStore {
  constructor(private readonly dataSource: DataSource) {}

  /**
   * Stores `content`, or gives the live one already stored under the same principal and key. One that expired makes room.
   * @param quota bytes that all live contents of a principal may have; uploads that come at the same moment may each pass it once
   * @returns over: seconds until the first of them expires, when `content` has no room; nothing is stored then
   */
  async insertOrFind(content: NewContent, quota: number): Promise<ContentRow | { over: number }> {
    const rows: ContentRow[] = await this.dataSource.query(
      `INSERT INTO gateway.content AS c (id, principal, idempotency_hash, media_type, size, sha256, sealed, expires_at)
       SELECT $1, $2::bytea, $3::bytea, $4, $5::integer, $6::bytea, $7::bytea, now() + ${LIFETIME}
       WHERE (SELECT coalesce(sum(size), 0) FROM gateway.content WHERE principal = $2 AND expires_at > now()) + $5 <= $8::bigint
       ON CONFLICT ON CONSTRAINT uq_content_idempotency DO UPDATE
         SET id = excluded.id, media_type = excluded.media_type, size = excluded.size, sha256 = excluded.sha256,
             sealed = excluded.sealed, created_at = now(), expires_at = excluded.expires_at
         WHERE c.expires_at <= now()
       RETURNING id, media_type, size, sha256, expires_at`,
      [
        content.id,
        content.principal,
        content.idempotencyHash,
        content.mediaType,
        content.size,
        content.sha256,
        content.sealed,
        quota,
      ],
    );
    if (rows[0]) return rows[0];
    const [found]: ContentRow[] = await this.dataSource.query(
      `SELECT id, media_type, size, sha256, expires_at FROM gateway.content
       WHERE principal = $1 AND idempotency_hash = $2 AND expires_at > now()`,
      [content.principal, content.idempotencyHash],
    );
    if (found) return found;
    const [live]: { bytes: string; first: number | null }[] = await this.dataSource.query(
      `SELECT coalesce(sum(size), 0) AS bytes, extract(epoch FROM min(expires_at) - now())::float8 AS first
       FROM gateway.content WHERE principal = $1 AND expires_at > now()`,
      [content.principal],
    );
    if (Number(live?.bytes ?? 0) + content.size > quota) return { over: Math.max(1, Math.ceil(live?.first ?? 1)) };
    return this.insertOrFind(content, quota); // swept in between
  }

  /** A live content of `principal`. */
  async find(id: string, principal: Buffer): Promise<(ContentRow & { sealed: Buffer }) | undefined> {
    const rows: (ContentRow & { sealed: Buffer })[] = await this.dataSource.query(
      `SELECT id, media_type, size, sha256, expires_at, sealed FROM gateway.content
       WHERE id = $1 AND principal = $2 AND expires_at > now()`,
      [id, principal],
    );
    return rows[0];
  }

  /** @returns how many expired contents were removed */
  async removeExpired(): Promise<number> {
    const [, count]: [unknown, number] = await this.dataSource.query(
      'DELETE FROM gateway.content WHERE expires_at <= now()',
    );
    return count;
  }
}
