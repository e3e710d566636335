import { Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';

export interface SignerRow {
  id: number;
  network: string;
  address: Buffer;
  state: 'active' | 'paused' | 'quarantined';
  reason: string | null;
  next_nonce: string;
  open: number;
}

/** The reason that tells an administrator's pause from one the write path ends by itself. */
export const PAUSED_BY_ADMIN = 'PAUSED_BY_ADMIN';

@Injectable()
export class SignersStore {
  constructor(private readonly database: DataSource) {}

  list(): Promise<SignerRow[]> {
    return this.database.query(
      `SELECT s.id, s.network, s.address, s.state, s.reason, s.next_nonce,
         (SELECT count(*)::int FROM gateway.transaction t WHERE t.signer_id = s.id AND t.state IN ('assigned', 'signed', 'submitted')) AS open
       FROM gateway.signer s ORDER BY s.id`,
    );
  }

  /** A new fence makes the commit of whoever is signing right now fail. Nothing changes for a quarantined signer. */
  async setPaused(id: number, paused: boolean): Promise<void> {
    await this.database.query(
      `UPDATE gateway.signer SET state = $2, reason = $3, fence = fence + 1
       WHERE id = $1 AND state <> 'quarantined' AND state <> $2`,
      [id, paused ? 'paused' : 'active', paused ? PAUSED_BY_ADMIN : null],
    );
  }
}
