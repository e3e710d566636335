import { Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';

/** Client assertions that were used. */
@Injectable()
export class AssertionsStore {
  constructor(private readonly database: DataSource) {}

  /** Uses up a `jti`. @returns false when it was used before. Spent ones are forgotten once they have expired. */
  async useJti(jtiHash: Buffer, expiresAt: Date): Promise<boolean> {
    await this.database.query("DELETE FROM gateway.used_jti WHERE expires_at < now() - interval '1 minute'");
    const rows: unknown[] = await this.database.query(
      'INSERT INTO gateway.used_jti (jti_hash, expires_at) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING 1',
      [jtiHash, expiresAt],
    );
    return rows.length > 0;
  }
}
