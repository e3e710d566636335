import { randomBytes } from 'node:crypto';
import type { DataSource } from 'typeorm';

/** 32-byte word of a number, an address or an id. */
export function word(value: number | Buffer): Buffer {
  const bytes = Buffer.alloc(32);
  if (typeof value === 'number') bytes.writeBigUInt64BE(BigInt(value), 24);
  else value.copy(bytes, 32 - value.length);
  return bytes;
}

/** A record id of `hospital`. */
export function someRecordId(hospital: number): Buffer {
  const id = randomBytes(32);
  id.writeUInt32BE(hospital);
  return id;
}

export interface MirroredEvent {
  type: string;
  operation: number;
  outcome?: number;
  recordId: Buffer;
  actor: Buffer;
  requestId: Buffer;
  hospital?: number;
  purpose?: number;
  /** Unix seconds. */
  time?: number;
  /** Words after the frame. */
  own?: Array<number | Buffer>;
}

/** Fills the mirror as an indexer would, for tests of who reads it. One block an event; everything is final unless told otherwise. */
export class MirrorBuilder {
  readonly #sequences = new Map<string, number>();

  /** @param mirror connected as the indexer's role */
  constructor(private readonly mirror: DataSource) {}

  async event(network: string, event: MirroredEvent, options: { final?: boolean } = {}): Promise<{ sequence: number }> {
    const sequence = (this.#sequences.get(network) ?? 0) + 1;
    this.#sequences.set(network, sequence);
    const { outcome = 0, hospital = 1, purpose = null, time = Math.floor(Date.now() / 1000) - 1 } = event;
    const own = outcome === 0 ? (event.own ?? []) : [event.operation, outcome];
    const frame = [event.requestId, 1, Buffer.alloc(32), Buffer.alloc(32), hospital];
    const hash = randomBytes(32);
    await this.mirror.query(
      `INSERT INTO mirror.emr_event VALUES ($1, $2, $2, $3, $4, 0, $5, 0, $6, $7, 1, $8, $9, $10, $11, $12, $13, $14, $15)`,
      [
        network,
        sequence,
        hash,
        time,
        randomBytes(32),
        outcome === 0 ? event.type : 'AccessDenied',
        event.recordId,
        hospital,
        event.actor,
        event.requestId,
        event.operation,
        outcome,
        purpose,
        Buffer.concat([randomBytes(32), word(sequence), event.recordId, word(event.actor)]),
        Buffer.concat([...frame, ...own].map(word)),
      ],
    );
    await this.mirror.query(
      `INSERT INTO mirror.block (network, number, hash, parent_hash, time, receipts_root, header, log_count, verified, sequence, head)
       VALUES ($1, $2, $3, '\\x00', $4, '\\x00', '\\x00', 1, true, $2, '\\x00')`,
      [network, sequence, hash, time],
    );
    await this.mirror.query(
      `INSERT INTO mirror.cursor VALUES ($1, $2, $3, $4, $2, '\\x00', 1, NULL) ON CONFLICT (network) DO UPDATE
       SET number = excluded.number, hash = excluded.hash, sequence = excluded.sequence,
           final_number = CASE WHEN $5 THEN excluded.final_number ELSE mirror.cursor.final_number END`,
      [network, sequence, hash, (options.final ?? true) ? sequence : sequence - 1, options.final ?? true],
    );
    return { sequence };
  }

  async actor(network: string, address: Buffer, roles: number, hospital = 1): Promise<void> {
    await this.mirror.query(
      `INSERT INTO mirror.actor VALUES ($1, $2, $3, $4, 0, true)
       ON CONFLICT (network, address) DO UPDATE SET roles = excluded.roles`,
      [network, address, hospital, roles],
    );
  }

  async suspend(address: Buffer): Promise<void> {
    await this.mirror.query('UPDATE mirror.actor SET active = false WHERE address = $1', [address]);
  }

  async record(
    network: string,
    record: {
      recordId: Buffer;
      contentHash?: Buffer;
      requestId?: Buffer;
      level?: number;
      custodian?: number;
      openedAt?: number;
    },
  ): Promise<{ contentHash: Buffer; requestId: Buffer; subject: Buffer }> {
    const {
      contentHash = randomBytes(32),
      requestId = randomBytes(32),
      level = 1,
      custodian = 1,
      openedAt = 1,
    } = record;
    const subject = randomBytes(20);
    await this.mirror.query(
      `INSERT INTO mirror.record VALUES ($1, $2, $3, 1, $4, $5, $6, 'open', NULL, NULL, $7, $8, 1, '\\x00')`,
      [network, record.recordId, custodian, contentHash, level, subject, requestId, openedAt],
    );
    await this.mirror.query(`INSERT INTO mirror.record_version VALUES ($1, $2, 1, $3, $4, $5, $6)`, [
      network,
      record.recordId,
      contentHash,
      requestId,
      randomBytes(20),
      openedAt,
    ]);
    return { contentHash, requestId, subject };
  }

  async relation(network: string, recordId: Buffer, party: Buffer, until = 0): Promise<Buffer> {
    const id = randomBytes(32);
    await this.mirror.query(`INSERT INTO mirror.relation VALUES ($1, $2, $3, $4, $5, 1, NULL)`, [
      network,
      recordId,
      party,
      until,
      id,
    ]);
    return id;
  }

  async endRelations(recordId: Buffer): Promise<void> {
    await this.mirror.query('UPDATE mirror.relation SET ended_at = 2 WHERE record_id = $1', [recordId]);
  }

  async member(network: string, team: Buffer, member: Buffer, hospital = 1): Promise<void> {
    await this.mirror.query('INSERT INTO mirror.team_member VALUES ($1, $2, $3, $4)', [
      network,
      hospital,
      team,
      member,
    ]);
  }

  async grant(
    network: string,
    recordId: Buffer,
    grant: { grantee?: Buffer; hospital?: number; purpose?: number; notAfter?: number; operations?: number } = {},
  ): Promise<Buffer> {
    const id = randomBytes(32);
    const { grantee = Buffer.alloc(20), hospital = 1, purpose = 0, notAfter = 0, operations = 1 << 5 } = grant;
    await this.mirror.query(
      `INSERT INTO mirror.access_grant VALUES ($1, $2, $3, $4, $5, $6, $7, 1, $8, $9, $10, 1, NULL)`,
      [network, recordId, id, grantee, hospital, operations, purpose, notAfter, randomBytes(32), randomBytes(20)],
    );
    return id;
  }

  async revoke(grantId: Buffer): Promise<void> {
    await this.mirror.query('UPDATE mirror.access_grant SET revoked_at = 2 WHERE grant_id = $1', [grantId]);
  }
}
