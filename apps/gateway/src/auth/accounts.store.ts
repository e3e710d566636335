import { Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';

interface AccountRow {
  username: string;
  password_hash: string;
  roles: string[];
  disabled: boolean;
  created_at: Date;
}

@Injectable()
export class AccountsStore {
  constructor(private readonly database: DataSource) {}

  async find(username: string): Promise<AccountRow | undefined> {
    const rows: AccountRow[] = await this.database.query('SELECT * FROM gateway.app_user WHERE username = $1', [
      username,
    ]);
    return rows[0];
  }

  /** @returns false when the name is taken; nothing is changed then. */
  async add(username: string, passwordHash: string, roles: readonly string[]): Promise<boolean> {
    const rows: unknown[] = await this.database.query(
      `INSERT INTO gateway.app_user (username, password_hash, roles) VALUES ($1, $2, $3)
       ON CONFLICT ON CONSTRAINT pk_app_user DO NOTHING RETURNING 1`,
      [username, passwordHash, roles],
    );
    return rows.length > 0;
  }

  /** @returns false when there is no such user */
  async setDisabled(username: string, disabled: boolean): Promise<boolean> {
    const [, changed]: [unknown, number] = await this.database.query(
      'UPDATE gateway.app_user SET disabled = $2 WHERE username = $1',
      [username, disabled],
    );
    return changed > 0;
  }

  list(after: string | undefined, limit: number): Promise<AccountRow[]> {
    return this.database.query('SELECT * FROM gateway.app_user WHERE username > $1 ORDER BY username LIMIT $2', [
      after ?? '',
      limit,
    ]);
  }
}
