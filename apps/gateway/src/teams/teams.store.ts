import { Inject, Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import type { NetworksConfig } from '../../../../libs/platform/src/networks.js';
import { NETWORKS } from '../core.tokens.js';
import { GATEWAY_ENV, type GatewayEnv } from '../gateway.env.js';

export interface TeamMemberRow {
  member: Buffer;
  subject: string | null;
}

@Injectable()
export class TeamsStore {
  constructor(
    private readonly database: DataSource,
    @Inject(NETWORKS) private readonly networks: NetworksConfig,
    @Inject(GATEWAY_ENV) private readonly env: GatewayEnv,
  ) {}

  /** Members of a team of this hospital as the local ledger has them, by address. */
  members(team: Buffer, after: Buffer | undefined, limit: number): Promise<TeamMemberRow[]> {
    return this.database.query(
      `SELECT t.member, k.subject FROM mirror.team_member t LEFT JOIN gateway.actor_key k ON k.address = t.member
       WHERE t.network = $1 AND t.hospital = $2 AND t.team = $3 AND t.member > $4 ORDER BY t.member LIMIT $5`,
      [this.networks.local, this.env.HOSPITAL_ID, team, after ?? Buffer.alloc(0), limit],
    );
  }
}
