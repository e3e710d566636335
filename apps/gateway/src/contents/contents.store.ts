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

  /** Stores `content`, or gives the live one already stored under the same principal and key. One that expired makes room. */
  async insertOrFind(content: NewContent): Promise<ContentRow> {
    const rows: ContentRow[] = await this.dataSource.query(
      `INSERT INTO gateway.content AS c (id, principal, idempotency_hash, media_type, size, sha256, sealed, expires_at)
       VALUES ($1, $2, $3, $4, $5, $6, $7, now() + ${LIFETIME})
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
      ],
    );
    if (rows[0]) return rows[0];
    const [found]: ContentRow[] = await this.dataSource.query(
      `SELECT id, media_type, size, sha256, expires_at FROM gateway.content
       WHERE principal = $1 AND idempotency_hash = $2`,
      [content.principal, content.idempotencyHash],
    );
    return found ?? this.insertOrFind(content); // swept in between
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
