import { Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { addressOf } from '../../../../libs/chain-client/src/keys/secp256k1.js';
import { Vault } from '../../../../libs/vault/src/vault.js';
import { BoundedCache } from './bounded-cache.js';

/** Opened keys kept in memory at most: 32 bytes and some 100 of overhead each. */
const CACHED_KEYS = 10_000;

interface KeyRow {
  wrapped_key: Buffer | null;
  kek_id: string | null;
}

/**
 * secp256k1 keys that act on the ledger: one per actor, one per record for its subject. At rest they are sealed under the
 * vault's key encryption key with their address as associated data, so that no row can stand in for another.
 */
@Injectable()
export class ActorKeys {
  readonly #opened = new BoundedCache<string, Buffer>(CACHED_KEYS);

  constructor(
    private readonly dataSource: DataSource,
    private readonly vault: Vault,
  ) {}

  /** Private key (32 bytes) behind `address`; undefined when its holder keeps it, or nobody here knows it. */
  async privateKeyOf(address: Buffer): Promise<Buffer | undefined> {
    const name = address.toString('latin1');
    const known = this.#opened.get(name);
    if (known) return known;
    const [row]: KeyRow[] = await this.dataSource.query(
      'SELECT wrapped_key, kek_id FROM gateway.actor_key WHERE address = $1',
      [address],
    );
    if (!row?.wrapped_key || !row.kek_id) return undefined;
    const key = this.vault.unwrap({ kekId: row.kek_id, bytes: row.wrapped_key }, address);
    this.#opened.set(name, key);
    return key;
  }

  /**
   * Makes a key for an actor whose key the gateway keeps; its ledger registration is the caller's to bring about.
   * A second call for the same issuer and subject gives the address of the first, also after the database was lost.
   */
  async createForActor(
    actor: { issuer: string; subject: string; roles: readonly string[] },
    manager: EntityManager = this.dataSource.manager,
  ): Promise<{ address: Buffer; created: boolean }> {
    const key = this.vault.actorKey(actor.issuer, actor.subject);
    const address = addressOf(key);
    const { kekId, bytes } = this.vault.wrap(key, address);
    const inserted: unknown[] = await manager.query(
      `INSERT INTO gateway.actor_key (address, kind, issuer, subject, roles, wrapped_key, kek_id)
       VALUES ($1, 'actor', $2, $3, $4, $5, $6) ON CONFLICT ON CONSTRAINT uq_actor_key_principal DO NOTHING RETURNING 1`,
      [address, actor.issuer, actor.subject, actor.roles, bytes, kekId],
    );
    if (inserted.length > 0) return { address, created: true };
    const [row]: { address: Buffer }[] = await manager.query(
      'SELECT address FROM gateway.actor_key WHERE issuer = $1 AND subject = $2',
      [actor.issuer, actor.subject],
    );
    if (!row) throw new Error('an actor key was taken away while it was being made');
    return { address: row.address, created: false };
  }

  /** Keeps the subject key of a record in the commit that opens it. The key follows from the request: a repeat changes nothing. */
  async keepSubjectKey(key: Buffer, manager: EntityManager): Promise<void> {
    const address = addressOf(key);
    const { kekId, bytes } = this.vault.wrap(key, address);
    await manager.query(
      `INSERT INTO gateway.actor_key (address, kind, wrapped_key, kek_id) VALUES ($1, 'subject', $2, $3)
       ON CONFLICT ON CONSTRAINT pk_actor_key DO NOTHING`,
      [address, bytes, kekId],
    );
  }

  /** Forgets opened keys, all or one: after a rotation, a suspension or an erasure. */
  forget(address?: Buffer): void {
    if (address) this.#opened.delete(address.toString('latin1'));
    else this.#opened.clear();
  }
}
