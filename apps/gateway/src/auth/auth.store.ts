import { Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';

export interface UserRow {
  username: string;
  password_hash: string;
  roles: string[];
  disabled: boolean;
  created_at: Date;
}

@Injectable()
export class AuthStore {
  constructor(private readonly database: DataSource) {}

  async userOf(username: string): Promise<UserRow | undefined> {
    const rows: UserRow[] = await this.database.query('SELECT * FROM gateway.app_user WHERE username = $1', [username]);
    return rows[0];
  }

  /** @returns false when the name is taken; nothing is changed then. */
  async addUser(username: string, passwordHash: string, roles: readonly string[]): Promise<boolean> {
    const rows: unknown[] = await this.database.query(
      `INSERT INTO gateway.app_user (username, password_hash, roles) VALUES ($1, $2, $3)
       ON CONFLICT ON CONSTRAINT pk_app_user DO NOTHING RETURNING 1`,
      [username, passwordHash, roles],
    );
    return rows.length > 0;
  }

  listUsers(after: string | undefined, limit: number): Promise<UserRow[]> {
    return this.database.query('SELECT * FROM gateway.app_user WHERE username > $1 ORDER BY username LIMIT $2', [
      after ?? '',
      limit,
    ]);
  }

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
