import { Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';

/** A hospital as the registry on the global network has it. Keys raw, 32 bytes. */
export interface RegisteredHospital {
  id: number;
  /** Ed25519. */
  identityKey: Buffer;
  /** X25519. */
  transferKey: Buffer;
  transferKeyId: number;
  /** SHA-256 of the peer endpoint's URL. */
  endpointHash: Buffer;
}

@Injectable()
export class PeeringStore {
  constructor(private readonly database: DataSource) {}

  /** The active hospital `id` of `network`'s registry. */
  async find(network: string, id: number): Promise<RegisteredHospital | undefined> {
    const [row]: {
      identity_key: Buffer;
      transfer_key: Buffer;
      transfer_key_id: string;
      endpoint_hash: Buffer;
    }[] = await this.database.query(
      `SELECT identity_key, transfer_key, transfer_key_id, endpoint_hash
       FROM mirror.hospital WHERE network = $1 AND id = $2 AND active`,
      [network, id],
    );
    return (
      row && {
        id,
        identityKey: row.identity_key,
        transferKey: row.transfer_key,
        transferKeyId: Number(row.transfer_key_id),
        endpointHash: row.endpoint_hash,
      }
    );
  }

  /** Remembers a nonce until `expiresAt` (unix seconds), for all replicas. @returns false when it was used before */
  async useNonce(hash: Buffer, expiresAt: number): Promise<boolean> {
    const inserted: unknown[] = await this.database.query(
      `INSERT INTO gateway.used_jti (jti_hash, expires_at) VALUES ($1, to_timestamp($2))
       ON CONFLICT ON CONSTRAINT pk_used_jti DO NOTHING RETURNING 1`,
      [hash, expiresAt],
    );
    return inserted.length > 0;
  }

  /** Forgets nonces (and token ids) whose time is over. */
  async forgetExpired(): Promise<void> {
    await this.database.query('DELETE FROM gateway.used_jti WHERE expires_at < now()');
  }
}
