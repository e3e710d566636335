import { Inject, Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import type { NetworksConfig } from '../../../../libs/platform/src/networks.js';
import { NETWORKS } from '../core.tokens.js';

export interface ActorRow {
  address: Buffer;
  issuer: string;
  subject: string;
  held: boolean;
  roles: number | null;
  active: boolean | null;
  created_at: Date;
}

const SELECT = `
SELECT k.address, k.issuer, k.subject, k.wrapped_key IS NOT NULL AS held, a.roles, a.active, k.created_at
FROM gateway.actor_key k LEFT JOIN mirror.actor a ON a.network = $1 AND a.address = k.address
WHERE k.kind = 'actor'`;

@Injectable()
export class ActorsStore {
  constructor(
    private readonly database: DataSource,
    @Inject(NETWORKS) private readonly networks: NetworksConfig,
  ) {}

  list(after: Buffer | undefined, limit: number): Promise<ActorRow[]> {
    return this.database.query(`${SELECT} AND k.address > $2 ORDER BY k.address LIMIT $3`, [
      this.networks.local,
      after ?? Buffer.alloc(0),
      limit,
    ]);
  }

  async find(address: Buffer): Promise<ActorRow | undefined> {
    const rows: ActorRow[] = await this.database.query(`${SELECT} AND k.address = $2`, [this.networks.local, address]);
    return rows[0];
  }

  async ofSubject(issuer: string, subject: string): Promise<ActorRow | undefined> {
    const rows: ActorRow[] = await this.database.query(`${SELECT} AND k.issuer = $2 AND k.subject = $3`, [
      this.networks.local,
      issuer,
      subject,
    ]);
    return rows[0];
  }

  /** Binds the address of a self-held key to a subject. @returns false when address or subject is bound already */
  async bindSelfHeld(address: Buffer, issuer: string, subject: string, roles: readonly string[]): Promise<boolean> {
    const rows: unknown[] = await this.database.query(
      `INSERT INTO gateway.actor_key (address, kind, issuer, subject, roles) VALUES ($1, 'actor', $2, $3, $4)
       ON CONFLICT DO NOTHING RETURNING 1`,
      [address, issuer, subject, roles],
    );
    return rows.length > 0;
  }

  async setRoles(address: Buffer, roles: readonly string[]): Promise<void> {
    await this.database.query('UPDATE gateway.actor_key SET roles = $2 WHERE address = $1', [address, roles]);
  }
}
