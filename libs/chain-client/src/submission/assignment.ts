import type { DataSource } from 'typeorm';
import { inTransaction, type Query, rowsOf } from '../../../database/src/transaction.js';
import type { LegacyTransaction } from '../keys/transaction.js';
import { lockShare } from './share.js';
import { type Attempt, GAS_PRICE, signable, unsignedTransaction, type WaitingAct } from './signing.js';
import type { SubmissionNetwork } from './submission.network.js';

/** A nonce that is bound to its acts and has no bytes yet. */
export interface Assigned {
  transactionId: string;
  unsigned: LegacyTransaction;
  acts: number;
}

/** Who holds it alone asks the signer; ends when the fence moves, or by itself `LEASE_MS` after the last sign of life. */
export interface Lease {
  signerId: number;
  fence: string;
}

/** A killed process keeps the others from signing for this long. */
export const LEASE_MS = 5_000;
const LEASED = `now() + ${LEASE_MS} * interval '1 millisecond'`;

type AssignedRow = WaitingAct & { transaction_id: string; nonce: string };

/** In nonce order, with the acts as they were when they were assigned. */
export async function assignedOf(query: Query, network: SubmissionNetwork, signerId: number): Promise<Assigned[]> {
  const rows = await query<AssignedRow>(
    `SELECT t.id AS transaction_id, t.nonce, o.ordinal, o.code, o.request_id AS "requestId", o.record_id AS "recordId", o.parameters,
       o.actor, o.deadline, o.auth_context AS "authContext", o.signature, o.batch_limit AS "batchLimit", o.priority
     FROM gateway.transaction t
     JOIN gateway.transaction_operation r ON r.transaction_id = t.id
     JOIN gateway.operation o ON o.ordinal = r.operation_ordinal
     WHERE t.signer_id = $1 AND t.state = 'assigned' ORDER BY t.nonce, r.position`,
    [signerId],
  );
  const byTransaction = new Map<string, AssignedRow[]>();
  for (const row of rows) {
    const acts = byTransaction.get(row.transaction_id);
    if (acts === undefined) byTransaction.set(row.transaction_id, [row]);
    else acts.push(row);
  }
  return [...byTransaction].map(([transactionId, acts]) => ({
    transactionId,
    unsigned: unsignedTransaction(network, BigInt(acts[0]!.nonce), acts.map(signable)),
    acts: acts.length,
  }));
}

/** Binds the next nonces, from `first`, to these acts, without any bytes. @throws Error when somebody else took one of the acts */
export async function storeAssignment(
  query: Query,
  signerId: number,
  first: bigint,
  transactions: readonly WaitingAct[][],
): Promise<void> {
  const nonces = transactions.map((_, index) => String(first + BigInt(index)));
  const rides = transactions.flatMap((acts, index) =>
    acts.map(({ ordinal }, position) => ({ nonce: nonces[index]!, position, ordinal })),
  );
  const [stored] = await query<{ taken: number }>(
    `WITH made AS (
       INSERT INTO gateway.transaction (signer_id, nonce, state) SELECT $1, n, 'assigned' FROM unnest($2::bigint[]) n RETURNING id, nonce
     ), rides AS (
       INSERT INTO gateway.transaction_operation (transaction_id, position, operation_ordinal)
       SELECT made.id, r.position, r.ordinal
       FROM unnest($3::bigint[], $4::integer[], $5::bigint[]) AS r(nonce, position, ordinal) JOIN made USING (nonce)
     ), taken AS (
       UPDATE gateway.operation SET phase = 'signed', updated_at = now()
       WHERE ordinal = ANY($5::bigint[]) AND phase = 'accepted' RETURNING 1
     ), moved AS (
       UPDATE gateway.signer SET next_nonce = $6 WHERE id = $1 RETURNING 1
     )
     SELECT (SELECT count(*)::int FROM taken) AS taken FROM moved`,
    [
      signerId,
      nonces,
      rides.map(({ nonce }) => nonce),
      rides.map(({ position }) => position),
      rides.map(({ ordinal }) => ordinal),
      String(first + BigInt(transactions.length)),
    ],
  );
  if (stored?.taken !== rides.length) throw new Error('Acts were changed by somebody else; nothing was assigned.');
}

/** In the transaction that holds the signer's row. */
export async function takeLease(query: Query, signerId: number): Promise<Lease> {
  const [row] = await query<{ fence: string }>(
    `UPDATE gateway.signer SET fence = fence + 1, lease_until = ${LEASED} WHERE id = $1 RETURNING fence`,
    [signerId],
  );
  return { signerId, fence: row!.fence };
}

export async function renewLease(dataSource: DataSource, { signerId, fence }: Lease): Promise<void> {
  await rowsOf(dataSource, `UPDATE gateway.signer SET lease_until = ${LEASED} WHERE id = $1 AND fence = $2`, [
    signerId,
    fence,
  ]);
}

/** Nothing was signed: the next one may try at once. @param reason why, for whoever looks at the signer */
export async function returnLease(dataSource: DataSource, { signerId, fence }: Lease, reason: string): Promise<void> {
  await rowsOf(
    dataSource,
    `UPDATE gateway.signer SET lease_until = NULL, reason = $3 WHERE id = $1 AND fence = $2 AND state = 'active'`,
    [signerId, fence, reason],
  );
}

/**
 * Stores the bytes of the lowest nonces that were assigned, and gives the lease back.
 * @param trouble why those above have no bytes; undefined when all have
 * @throws Error when the lease was lost: then somebody else signs the same acts under the same nonces, and these bytes are nobody's
 */
export async function storeSigned(
  dataSource: DataSource,
  lease: Lease,
  signed: readonly { transactionId: string; attempt: Attempt }[],
  trouble: string | undefined,
  beforeCommit: () => void,
): Promise<void> {
  await inTransaction(dataSource, async (query) => {
    const held = await query(
      `UPDATE gateway.signer SET lease_until = NULL, fence = fence + 1, reason = $3
       WHERE id = $1 AND fence = $2 AND state = 'active' RETURNING id`,
      [lease.signerId, lease.fence, trouble ?? null],
    );
    const stored =
      held.length === 1 &&
      (await query(
        `WITH signed AS (
           UPDATE gateway.transaction SET state = 'signed' WHERE id = ANY($1::bigint[]) AND state = 'assigned' RETURNING id
         )
         INSERT INTO gateway.attempt (transaction_id, number, kind, raw, hash, gas_price)
         SELECT signed.id, 1, 'first', a.raw, a.hash, $4
         FROM unnest($1::bigint[], $2::bytea[], $3::bytea[]) AS a(id, raw, hash) JOIN signed USING (id) RETURNING id`,
        [
          signed.map(({ transactionId }) => transactionId),
          signed.map(({ attempt }) => attempt.raw),
          signed.map(({ attempt }) => attempt.hash),
          String(GAS_PRICE),
        ],
      ));
    if (stored === false || stored.length !== signed.length) {
      throw new Error('The signer was taken over by somebody else; what was signed here was thrown away.');
    }
    beforeCommit();
  });
}

/**
 * Undoes what was assigned and has no bytes: the acts wait again, the nonces are given back. For a signer that will not be asked
 * (paused, quarantined, no longer configured): nothing of this ever left, so another signer may carry the acts.
 * Whoever holds the signer's row calls this; a process that is just being answered by the signer loses its lease.
 * @returns how many acts wait again; 0 also when a later nonce has bytes already, as then the gap must be filled, not closed
 */
export async function releaseAssignments(query: Query, network: SubmissionNetwork, signerId: number): Promise<number> {
  await lockShare(query, network.name);
  const [lowest] = await query<{ nonce: string; closed: boolean }>(
    `SELECT l.nonce, EXISTS (
       SELECT FROM gateway.transaction t WHERE t.signer_id = $1 AND t.nonce > l.nonce AND t.state <> 'assigned') AS closed
     FROM (SELECT min(nonce) AS nonce FROM gateway.transaction WHERE signer_id = $1 AND state = 'assigned') l
     WHERE l.nonce IS NOT NULL`,
    [signerId],
  );
  if (lowest === undefined || lowest.closed) return 0;
  const freed = await query<{ operation_ordinal: string }>(
    `DELETE FROM gateway.transaction_operation r USING gateway.transaction t
     WHERE t.id = r.transaction_id AND t.signer_id = $1 AND t.state = 'assigned' RETURNING r.operation_ordinal`,
    [signerId],
  );
  await query(
    `WITH gone AS (DELETE FROM gateway.transaction WHERE signer_id = $1 AND state = 'assigned'),
       moved AS (UPDATE gateway.signer SET next_nonce = $2, fence = fence + 1, lease_until = NULL WHERE id = $1)
     UPDATE gateway.operation SET phase = 'accepted', updated_at = now() WHERE ordinal = ANY($3::bigint[]) AND phase = 'signed'`,
    [signerId, lowest.nonce, freed.map(({ operation_ordinal: ordinal }) => ordinal)],
  );
  return freed.length;
}
