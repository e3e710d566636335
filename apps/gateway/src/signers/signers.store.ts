import { Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import type { SignerTransactionBody } from './signers.schema.js';

export interface SignerRow {
  id: number;
  network: string;
  address: Buffer;
  state: 'active' | 'paused' | 'quarantined';
  reason: string | null;
  next_nonce: string;
  open: number;
}

/** A row of one nonce, its lists as JSON: null where the body leaves a member out. */
export interface TransactionRow {
  network: string;
  nonce: string;
  state: SignerTransactionBody['state'];
  created_at: Date;
  operations: SignerTransactionBody['operations'];
  attempts: {
    number: number;
    kind: 'first' | 'bump' | 'noop';
    hash: string;
    gasPrice: string;
    sends: number;
    sentAt: string | null;
    answer: string | null;
    block: string | null;
  }[];
}

/** The reason that tells an administrator's pause from one the write path ends by itself. */
const PAUSED_BY_ADMIN = 'PAUSED_BY_ADMIN';

const TRANSACTIONS = `
SELECT s.network, t.nonce, t.state, t.created_at, (
    SELECT coalesce(json_agg(json_build_object('id', o.id, 'withdrawn', r.withdrawn) ORDER BY r.position), '[]')
    FROM gateway.transaction_operation r JOIN gateway.operation o ON o.ordinal = r.operation_ordinal
    WHERE r.transaction_id = t.id
  ) AS operations, (
    SELECT coalesce(json_agg(json_build_object('number', a.number, 'kind', a.kind, 'hash', '0x' || encode(a.hash, 'hex'),
      'gasPrice', a.gas_price::text, 'sends', a.sends, 'sentAt', a.sent_at, 'answer', a.last_answer, 'block', i.block_number::text)
      ORDER BY a.number), '[]')
    FROM gateway.attempt a LEFT JOIN mirror.inclusion i ON i.network = s.network AND i.transaction_hash = a.hash
    WHERE a.transaction_id = t.id
  ) AS attempts
FROM gateway.signer s JOIN gateway.transaction t ON t.signer_id = s.id`;

/** Who asks, as the record of operators' actions has them. */
interface By {
  principal: Buffer;
  actor?: { address: Buffer };
}

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

  /** Those in no final block, lowest nonce first, at most 200. */
  openTransactions(signerId: number): Promise<TransactionRow[]> {
    return this.database.query(
      `${TRANSACTIONS} WHERE s.id = $1 AND t.state IN ('assigned', 'signed', 'submitted') ORDER BY t.nonce LIMIT 200`,
      [signerId],
    );
  }

  async transaction(signerId: number, nonce: number): Promise<TransactionRow | undefined> {
    const rows: TransactionRow[] = await this.database.query(`${TRANSACTIONS} WHERE s.id = $1 AND t.nonce = $2`, [
      signerId,
      nonce,
    ]);
    return rows[0];
  }

  /**
   * With its record, in one statement. A new fence makes the commit of whoever is signing right now fail. Nothing changes for a
   * quarantined signer. A pause of the write path's own becomes the administrator's: it no longer ends by itself.
   */
  async setPaused(id: number, paused: boolean, by: By): Promise<void> {
    await this.database.query(
      `WITH before AS (SELECT id, state, reason FROM gateway.signer WHERE id = $1 FOR UPDATE),
       changed AS (
         UPDATE gateway.signer s SET state = $2, reason = $3, fence = s.fence + 1 FROM before
         WHERE s.id = before.id AND before.state <> 'quarantined'
           AND (before.state, before.reason) IS DISTINCT FROM ($2::text, $3::text)
         RETURNING s.id)
       INSERT INTO gateway.operator_action (principal, actor, action, signer_id, outcome, detail)
       SELECT $4, $5, $6, before.id,
         CASE WHEN EXISTS (SELECT FROM changed) THEN 'done' WHEN before.state = 'quarantined' THEN 'refused' ELSE 'unchanged' END,
         jsonb_build_object('was', before.state)
       FROM before`,
      [
        id,
        paused ? 'paused' : 'active',
        paused ? PAUSED_BY_ADMIN : null,
        by.principal,
        by.actor?.address ?? null,
        paused ? 'pause' : 'resumption',
      ],
    );
  }
}
