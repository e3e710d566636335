import { Inject, Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { rowsOf } from '../../../../../libs/database/src/transaction.js';
import type { NetworksConfig } from '../../../../../libs/platform/src/networks.js';
import { NETWORKS } from '../../core.tokens.js';
import { GATEWAY_ENV, type GatewayEnv } from '../../gateway.env.js';
import { related } from '../../policy/standing.sql.js';
import type { Outcome, Step } from './saga.types.js';

/** What table and chain say of one request id. */
export interface ActTrace {
  requestId: Buffer;
  network: string;
  operationId: string | null;
  /** Operation code. */
  code: number;
  phase: 'accepted' | 'signed' | 'failed' | 'cancelled' | null;
  /** 0: done; else the reason of the refusal. Null: no event yet. */
  outcome: number | null;
  sequence: string | null;
  blockHash: Buffer | null;
  final: boolean;
}

/** A record on one network. */
export interface RecordState {
  version: number;
  contentHash: Buffer;
  level: number;
  frozenBy: Buffer | null;
}

/** Somebody else took the transfer over since it was looked at: to be looked at again. */
export class TransferTakenOver extends Error {
  constructor() {
    super('The transfer was taken over meanwhile.');
    this.name = 'TransferTakenOver';
  }
}

/** A lease outlives the slowest step (a package on its way); a driver that died holds a transfer up no longer than this. */
const LEASE_SECONDS = 45;
/** Where an event's data holds the token commitment: after request id, record sequence and record head. */
const AUTH_CONTEXT = 96;

@Injectable()
export class SagaStore {
  readonly #local: string;
  readonly #global: string;
  readonly #networks: string[];
  readonly #hospital: number;

  constructor(
    private readonly dataSource: DataSource,
    @Inject(NETWORKS) networks: NetworksConfig,
    @Inject(GATEWAY_ENV) env: GatewayEnv,
  ) {
    this.#local = networks.local;
    this.#global = networks.global;
    this.#networks = [...new Set([networks.local, networks.global])];
    this.#hospital = env.HOSPITAL_ID;
  }

  /** Takes open transfers that are due, each for one driver at a time. */
  async claim(limit: number): Promise<Buffer[]> {
    const rows = await rowsOf<{ id: Buffer }>(
      this.dataSource,
      `UPDATE gateway.transfer SET lease_until = now() + make_interval(secs => $2),
         next_attempt_at = now() + make_interval(secs => $2), attempts = attempts + 1
       WHERE id IN (
         SELECT t.id FROM gateway.transfer t
         WHERE t.step NOT IN ('done', 'failed') AND t.next_attempt_at <= now()
           AND (t.lease_until IS NULL OR t.lease_until < now())
         ORDER BY t.next_attempt_at LIMIT $1 FOR UPDATE SKIP LOCKED)
       RETURNING id`,
      [limit, LEASE_SECONDS],
    );
    return rows.map(({ id }) => id);
  }

  /**
   * Gives a transfer back, to be looked at again in `delaySeconds`, or at once when it was woken meanwhile.
   * @param resetAttempts when the step went well, so that the next failure waits shortly again
   */
  async release(
    id: Buffer,
    change: { step?: Step; delaySeconds: number; problem?: string | null; resetAttempts: boolean },
  ): Promise<void> {
    await this.dataSource.query(
      `UPDATE gateway.transfer SET step = coalesce($2, step), problem = $4, lease_until = NULL,
         attempts = CASE WHEN $5 THEN 0 ELSE attempts END,
         updated_at = CASE WHEN step = coalesce($2, step) THEN updated_at ELSE now() END,
         next_attempt_at = least(next_attempt_at, now() + make_interval(secs => $3))
       WHERE id = $1`,
      [id, change.step ?? null, change.delaySeconds, change.problem ?? null, change.resetAttempts],
    );
  }

  /**
   * Nothing follows. A package of a transfer that came to nothing is of no use to anybody any more; one of a transfer that can't go on is,
   * to whoever takes it over.
   * @param seen the row as it was when this was decided @throws TransferTakenOver
   */
  async end(
    { id, takeovers }: { id: Buffer; takeovers: number },
    end: { step: 'done' | 'failed'; outcome: Outcome | null; problem: string | null; receivedRecordId: Buffer | null },
  ): Promise<void> {
    const rows = await rowsOf(
      this.dataSource,
      `UPDATE gateway.transfer SET step = $2, outcome = coalesce($3, outcome), problem = $4, received_record_id = $5, lease_until = NULL,
         package = CASE WHEN $2 = 'failed' OR ($3 = 'completed' AND direction = 'outgoing') THEN package ELSE NULL END, updated_at = now()
       WHERE id = $1 AND takeovers = $6 RETURNING 1`,
      [id, end.step, end.outcome, end.problem, end.receivedRecordId, takeovers],
    );
    if (rows.length === 0) throw new TransferTakenOver();
  }

  /** In the commit that stores an act of the saga: it is still in the hands of who signed. @throws TransferTakenOver */
  async requireSame(manager: EntityManager, { id, takeovers }: { id: Buffer; takeovers: number }): Promise<void> {
    const rows: unknown[] = await manager.query(
      'SELECT 1 FROM gateway.transfer WHERE id = $1 AND takeovers = $2 FOR UPDATE',
      [id, takeovers],
    );
    if (rows.length === 0) throw new TransferTakenOver();
  }

  async attempts(id: Buffer): Promise<number | undefined> {
    const rows: { attempts: number }[] = await this.dataSource.query(
      'SELECT attempts FROM gateway.transfer WHERE id = $1',
      [id],
    );
    return rows[0]?.attempts;
  }

  async markDelivered(id: Buffer): Promise<void> {
    await this.dataSource.query(
      'UPDATE gateway.transfer SET delivered_at = now(), updated_at = now() WHERE id = $1 AND delivered_at IS NULL',
      [id],
    );
  }

  /** Names the copy that is being opened, so that its events wake the saga, and whose acceptance it was. */
  async noteCopy(manager: EntityManager, id: Buffer, receivedRecordId: Buffer, actor: Buffer): Promise<void> {
    await manager.query('UPDATE gateway.transfer SET received_record_id = $2, actor = $3 WHERE id = $1', [
      id,
      receivedRecordId,
      actor,
    ]);
  }

  /**
   * Rows for transfers that the global ledger shows and this table doesn't: proposals to this hospital, and proposals of this hospital that
   * a restored database forgot. @returns how many
   */
  async discover(): Promise<number> {
    const rows = await rowsOf(
      this.dataSource,
      `INSERT INTO gateway.transfer (id, direction, record_id, peer_hospital, version, content_hash, mode, actor, step, ttl)
       SELECT m.transfer_id, 'incoming', m.record_id, m.from_hospital, m.version, m.content_hash, m.mode, NULL, 'announced',
         greatest(m.expires_at - m.proposed_at, 1)
       FROM mirror.transfer m WHERE m.network = $1 AND m.to_hospital = $2
         AND NOT EXISTS (SELECT FROM gateway.transfer t WHERE t.id = m.transfer_id)
       UNION ALL
       SELECT m.transfer_id, 'outgoing', m.record_id, m.to_hospital, m.version, m.content_hash, m.mode,
         (SELECT e.actor FROM mirror.emr_event e WHERE e.network = m.network AND e.record_id = m.record_id AND e.hospital = $2
            AND e.type = 'TransferProposed' AND position(m.transfer_id IN e.data) > 0 LIMIT 1),
         'proposing', greatest(m.expires_at - m.proposed_at, 1)
       FROM mirror.transfer m WHERE m.network = $1 AND m.from_hospital = $2
         AND NOT EXISTS (SELECT FROM gateway.transfer t WHERE t.id = m.transfer_id)
       ON CONFLICT ON CONSTRAINT pk_transfer DO NOTHING RETURNING 1`,
      [this.#global, this.#hospital],
    );
    return rows.length;
  }

  /** The last final sequence of each network, for telling what is new. */
  cursors(): Promise<{ network: string; sequence: string }[]> {
    return this.dataSource.query(
      `SELECT c.network, coalesce(b.sequence, 0)::text AS sequence
       FROM mirror.cursor c LEFT JOIN mirror.block b ON b.network = c.network AND b.number = c.final_number`,
    );
  }

  /**
   * Makes due the open transfers whose records had events behind `after`, through `through`, of a network. Both ends are of the key that the
   * records' index goes on with, so it costs what the open transfers do, however many events there are. Not an EXISTS: that could be made a join, which starts from the events.
   */
  async wake(network: string, after: string, through: string): Promise<void> {
    await this.dataSource.query(
      `UPDATE gateway.transfer t SET next_attempt_at = now()
       WHERE t.step NOT IN ('done', 'failed') AND t.next_attempt_at > now() AND (
         SELECT true FROM mirror.emr_event e
         WHERE e.network = $1 AND e.record_id = ANY (ARRAY[t.record_id, t.received_record_id])
           AND e.sequence > $2 AND e.sequence <= $3
           AND (e.operation IN (1, 2, 4) OR e.operation BETWEEN 16 AND 31) LIMIT 1)`,
      [network, after, through],
    );
  }

  /** Makes every open transfer due: at start, when nothing is known of what happened meanwhile. */
  async wakeAll(): Promise<void> {
    await this.dataSource.query(
      "UPDATE gateway.transfer SET next_attempt_at = now() WHERE step NOT IN ('done', 'failed') AND next_attempt_at > now()",
    );
  }

  async hasOpen(): Promise<boolean> {
    const rows: unknown[] = await this.dataSource.query(
      "SELECT 1 FROM gateway.transfer WHERE step NOT IN ('done', 'failed') LIMIT 1",
    );
    return rows.length > 0;
  }

  /** What became of acts with these request ids. Only this hospital's: on a shared ledger another may use the same id. */
  async traces(requestIds: Buffer[]): Promise<ActTrace[]> {
    return this.dataSource.query(
      `SELECT r.id AS "requestId", coalesce(e.network, o.network) AS network, o.id AS "operationId",
         coalesce(e.operation, o.code) AS code, o.phase, e.outcome, e.sequence::text AS sequence, e.block_hash AS "blockHash", coalesce(e.block_number <= c.final_number, false) AS final
       FROM unnest($1::bytea[]) AS r(id)
       LEFT JOIN mirror.emr_event e ON e.request_id = r.id AND e.hospital = $2
       LEFT JOIN mirror.cursor c ON c.network = e.network
       LEFT JOIN gateway.operation o ON o.network = ANY($3) AND o.request_id = r.id
       WHERE e.request_id IS NOT NULL OR o.id IS NOT NULL`,
      [requestIds, this.#hospital, this.#networks],
    );
  }

  /** The record as published on the global network. */
  async published(recordId: Buffer): Promise<RecordState | undefined> {
    return this.#record(this.#global, recordId);
  }

  /** The record on the local network. */
  async local(recordId: Buffer): Promise<RecordState | undefined> {
    return this.#record(this.#local, recordId);
  }

  /** Whether an actor is related to the record on the global network now, and who opened it there. */
  async standing(recordId: Buffer, actor: Buffer): Promise<{ related: boolean; publisher: Buffer | null }> {
    const rows: { related: boolean; publisher: Buffer | null }[] = await this.dataSource.query(
      `SELECT ${related('$1', '$2', '$3')} AS related, (SELECT v.actor FROM mirror.record_version v
         WHERE v.network = $1 AND v.record_id = $2 AND v.version = 1) AS publisher`,
      [this.#global, recordId, actor],
    );
    return rows[0]!;
  }

  /** The token commitment of the act that a person asked for, which the acts that follow from it repeat. */
  async authContext(requestId: Buffer): Promise<{ operationId: string; authContext: Buffer } | undefined> {
    const rows: { operationId: string; authContext: Buffer }[] = await this.dataSource.query(
      'SELECT id AS "operationId", auth_context AS "authContext" FROM gateway.operation WHERE network = ANY($2) AND request_id = $1 LIMIT 1',
      [requestId, this.#networks],
    );
    return rows[0];
  }

  /** Who accepted a transfer for this hospital, as the ledger says. */
  async acceptor(transferId: Buffer, recordId: Buffer): Promise<{ actor: Buffer; authContext: Buffer } | undefined> {
    const rows: { actor: Buffer; data: Buffer }[] = await this.dataSource.query(
      `SELECT e.actor, e.data FROM mirror.emr_event e WHERE e.network = $1 AND e.record_id = $2 AND e.hospital = $3
         AND e.type = 'TransferAccepted' AND position($4::bytea IN e.data) > 0 ORDER BY e.sequence DESC LIMIT 1`,
      [this.#global, recordId, this.#hospital, transferId],
    );
    return rows[0] && { actor: rows[0].actor, authContext: rows[0].data.subarray(AUTH_CONTEXT, AUTH_CONTEXT + 32) };
  }

  /** Role bits of an actor on a network, 0 when it isn't registered or not active. */
  async rolesOf(network: string, actor: Buffer): Promise<number> {
    const rows: { roles: number }[] = await this.dataSource.query(
      'SELECT roles FROM mirror.actor WHERE network = $1 AND address = $2 AND active',
      [network, actor],
    );
    return rows[0]?.roles ?? 0;
  }

  async #record(network: string, recordId: Buffer): Promise<RecordState | undefined> {
    const rows: RecordState[] = await this.dataSource.query(
      `SELECT version, content_hash AS "contentHash", level, frozen_by AS "frozenBy" FROM mirror.record
       WHERE network = $1 AND record_id = $2`,
      [network, recordId],
    );
    return rows[0];
  }
}
