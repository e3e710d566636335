import { Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import type { LedgerState, Outcome, Step } from './saga/saga.types.js';

/** A transfer as this hospital keeps it, without the package. */
export interface TransferRow {
  id: Buffer;
  direction: 'outgoing' | 'incoming';
  recordId: Buffer;
  peerHospital: number;
  version: number;
  contentHash: Buffer;
  actor: Buffer | null;
  principal: Buffer | null;
  acceptanceRequestId: Buffer | null;
  /** How often somebody else took the transfer over; `actor` is who did last. */
  takeovers: number;
  /** The act with which they did. */
  takeoverRequestId: Buffer | null;
  reason: string | null;
  step: Step;
  outcome: Outcome | null;
  problem: string | null;
  receivedRecordId: Buffer | null;
  hasPackage: boolean;
  packageHash: Buffer | null;
  deliveredAt: Date | null;
  ttl: number;
  attempts: number;
  createdAt: Date;
  updatedAt: Date;
}

/** A transfer as the global ledger's mirror has it. */
export interface MirroredTransfer {
  id: Buffer;
  recordId: Buffer;
  fromHospital: number;
  toHospital: number;
  version: number;
  contentHash: Buffer;
  /** Unix seconds of block time. */
  expiresAt: number;
  state: LedgerState;
  packageHash: Buffer | null;
  /** Block of the latest state. */
  stateBlockHash: Buffer;
  /** Whether that block is final. */
  final: boolean;
}

export interface NewOutgoing {
  id: Buffer;
  recordId: Buffer;
  peerHospital: number;
  version: number;
  contentHash: Buffer;
  actor: Buffer;
  principal: Buffer;
  reason: string | null;
  ttl: number;
}

const COLUMNS = `t.id, t.direction, t.record_id AS "recordId", t.peer_hospital::float8 AS "peerHospital", t.version,
  t.content_hash AS "contentHash", t.actor, t.principal, t.acceptance_request_id AS "acceptanceRequestId",
  t.takeovers, t.takeover_request_id AS "takeoverRequestId", t.reason, t.step, t.outcome,
  t.problem, t.received_record_id AS "receivedRecordId", t.package IS NOT NULL AS "hasPackage",
  t.package_hash AS "packageHash", t.delivered_at AS "deliveredAt", t.ttl, t.attempts, t.created_at AS "createdAt",
  t.updated_at AS "updatedAt"`;

@Injectable()
export class TransfersStore {
  constructor(private readonly dataSource: DataSource) {}

  async insertOutgoing(manager: EntityManager, transfer: NewOutgoing): Promise<void> {
    await manager.query(
      `INSERT INTO gateway.transfer
         (id, direction, record_id, peer_hospital, version, content_hash, actor, principal, reason, step, ttl)
       VALUES ($1, 'outgoing', $2, $3, $4, $5, $6, $7, $8, 'freezing', $9)
       ON CONFLICT ON CONSTRAINT pk_transfer DO NOTHING`,
      [
        transfer.id,
        transfer.recordId,
        transfer.peerHospital,
        transfer.version,
        transfer.contentHash,
        transfer.actor,
        transfer.principal,
        transfer.reason,
        transfer.ttl,
      ],
    );
  }

  async find(id: Buffer): Promise<TransferRow | undefined> {
    const rows: TransferRow[] = await this.dataSource.query(
      `SELECT ${COLUMNS} FROM gateway.transfer t WHERE t.id = $1`,
      [id],
    );
    return rows[0];
  }

  /** Newest first, keyset on (created at, id). */
  list(filter: {
    limit: number;
    before?: { createdAt: string; id: Buffer };
    direction?: string;
    recordId?: Buffer;
  }): Promise<(TransferRow & { createdAtText: string })[]> {
    return this.dataSource.query(
      `SELECT ${COLUMNS}, t.created_at::text AS "createdAtText" FROM gateway.transfer t
       WHERE ($2::timestamptz IS NULL OR (t.created_at, t.id) < ($2, $3))
         AND ($4::text IS NULL OR t.direction = $4)
         AND ($5::bytea IS NULL OR t.record_id = $5 OR t.received_record_id = $5)
       ORDER BY t.created_at DESC, t.id DESC LIMIT $1`,
      [
        filter.limit,
        filter.before?.createdAt ?? null,
        filter.before?.id ?? null,
        filter.direction ?? null,
        filter.recordId ?? null,
      ],
    );
  }

  async mirrored(network: string, id: Buffer): Promise<MirroredTransfer | undefined> {
    return (await this.mirroredAll(network, [id]))[0];
  }

  /** Those of the transfers that the network's mirror knows, in no order. */
  mirroredAll(network: string, ids: Buffer[]): Promise<MirroredTransfer[]> {
    return this.dataSource.query(
      `SELECT t.transfer_id AS id, t.record_id AS "recordId", t.from_hospital::float8 AS "fromHospital",
         t.to_hospital::float8 AS "toHospital", t.version, t.content_hash AS "contentHash",
         t.expires_at::float8 AS "expiresAt", t.state, t.package_hash AS "packageHash", t.state_block_hash AS "stateBlockHash",
         EXISTS (SELECT FROM mirror.block b JOIN mirror.cursor c ON c.network = b.network
           WHERE b.network = t.network AND b.hash = t.state_block_hash AND b.number <= c.final_number) AS final
       FROM mirror.transfer t WHERE t.network = $1 AND t.transfer_id = ANY($2)`,
      [network, ids],
    );
  }

  async package(id: Buffer): Promise<Buffer | undefined> {
    const rows: { package: Buffer | null }[] = await this.dataSource.query(
      'SELECT package FROM gateway.transfer WHERE id = $1',
      [id],
    );
    return rows[0]?.package ?? undefined;
  }

  /** Keeps a package unless there is one already. @returns hash of the one that is kept, undefined when there is no such transfer */
  async keepPackage(
    id: Buffer,
    direction: TransferRow['direction'],
    bytes: Buffer,
    hash: Buffer,
  ): Promise<Buffer | undefined> {
    await this.dataSource.query(
      `UPDATE gateway.transfer SET package = $3, package_hash = $4, updated_at = now(),
         next_attempt_at = CASE WHEN direction = 'incoming' THEN now() ELSE next_attempt_at END
       WHERE id = $1 AND direction = $2 AND package IS NULL`,
      [id, direction, bytes, hash],
    );
    const rows: { package_hash: Buffer | null }[] = await this.dataSource.query(
      'SELECT package_hash FROM gateway.transfer WHERE id = $1 AND direction = $2',
      [id, direction],
    );
    return rows[0]?.package_hash ?? undefined;
  }

  /** Names who asks for acceptance, in the commit that stores the act. The ledger decides whose acceptance it is. */
  async noteAcceptance(
    manager: EntityManager,
    id: Buffer,
    acceptance: { requestId: Buffer; actor: Buffer; principal: Buffer },
  ): Promise<void> {
    await manager.query(
      `UPDATE gateway.transfer SET acceptance_request_id = $2, actor = $3, principal = $4, step = 'accepting',
         next_attempt_at = now(), updated_at = now()
       WHERE id = $1 AND direction = 'incoming'`,
      [id, acceptance.requestId, acceptance.actor, acceptance.principal],
    );
  }

  /**
   * Makes somebody else the one who signs what follows, in the commit that stores the act they begin with.
   * @param taker.seen `takeovers` as it was when that act was decided on
   * @param taker.unless no act with one of these request ids may have been accepted
   * @returns false when the transfer has moved on meanwhile: nothing was changed, and the act must not be stored
   */
  async takeOver(
    manager: EntityManager,
    id: Buffer,
    taker: { actor: Buffer; principal: Buffer; requestId: Buffer; seen: number; unless: Buffer[] },
  ): Promise<boolean> {
    // The lock first: the look at the operations must come after whatever commit it waited for.
    await manager.query('SELECT 1 FROM gateway.transfer WHERE id = $1 FOR UPDATE', [id]);
    const [rows]: [unknown[], number] = await manager.query(
      `UPDATE gateway.transfer SET actor = $2, principal = $3, takeover_request_id = $4, takeovers = takeovers + 1,
         step = CASE WHEN step <> 'failed' THEN step WHEN direction = 'outgoing' THEN 'unfreezing' ELSE 'opening' END, problem = NULL, attempts = 0,
         next_attempt_at = now(), updated_at = now()
       WHERE id = $1 AND takeovers = $5 AND step <> 'done'
         AND NOT EXISTS (SELECT FROM gateway.operation o WHERE o.request_id = ANY($6)) RETURNING 1`,
      [id, taker.actor, taker.principal, taker.requestId, taker.seen, taker.unless],
    );
    return rows.length > 0;
  }
}
