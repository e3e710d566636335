import type { DataSource } from 'typeorm';
import { encodeExecute } from '../../../contracts/src/intent.codec.js';
import { transactionGas } from '../../../contracts/src/operations.js';
import { inTransaction, type Query } from '../../../database/src/transaction.js';
import { signLegacyTransaction } from '../keys/transaction.js';
import type { Failpoint } from './failpoint.js';
import { pack, SLOT_BYTES } from './packing.js';
import { packLimits, type Signer, type SubmissionNetwork } from './submission.network.js';

/** Bytes that are stored and may be sent. */
export interface Attempt {
  hash: Buffer;
  raw: Buffer;
}

export interface SignResult {
  /** In nonce order; already committed. */
  attempts: Attempt[];
  /** Acts those carry. */
  acts: number;
  /** True when acts may still be waiting and room was left for them. */
  more: boolean;
}

interface WaitingAct {
  ordinal: string;
  code: number;
  request_id: Buffer;
  record_id: Buffer;
  parameters: Buffer;
  actor: Buffer;
  deadline: string;
  auth_context: Buffer;
  signature: Buffer;
  batchLimit: number | null;
}

interface SignerState {
  id: number;
  next_nonce: string;
  fence: string;
  in_flight: number;
  slots: number;
  position: number;
  active: number;
}

/** Acts looked at in one commit: five full transactions. */
const MAX_ACTS = 1_000;
const GAS_PRICE = 0n;

/**
 * Step 2 of the write path, one commit: takes what waits for this signer, packs it, binds the next nonces to signed bytes and stores
 * them. The signer's row is locked from first to last, so that two workers never hold the same nonce; a rollback returns all.
 */
export async function signWaiting(
  dataSource: DataSource,
  network: SubmissionNetwork,
  signer: Signer,
  failpoint: Failpoint,
): Promise<SignResult> {
  return inTransaction(dataSource, async (query) => {
    const state = await lockSigner(query, network, signer);
    if (state === undefined) return nothing;
    const limits = packLimits(network, state.in_flight, state.slots);
    if (limits.maxTransactions === 0 || limits.maxSlots === 0) return nothing;
    const waiting = await takeWaiting(query, network, state);
    const { transactions, oversized } = pack(waiting, limits);
    if (oversized.length > 0) await failOversized(query, oversized);
    if (transactions.length === 0) return nothing;

    const first = BigInt(state.next_nonce);
    const attempts = transactions.map((acts, index) => sign(network, signer, first + BigInt(index), acts));
    await storeAttempts(query, state, first, transactions, attempts);
    failpoint('before-attempt-commit');
    const acts = transactions.reduce((sum, { length }) => sum + length, 0);
    const left = acts + oversized.length < waiting.length || waiting.length === MAX_ACTS;
    return { attempts, acts, more: left && transactions.length < limits.maxTransactions };
  });
}

const nothing: SignResult = { attempts: [], acts: 0, more: false };

async function lockSigner(query: Query, network: SubmissionNetwork, signer: Signer): Promise<SignerState | undefined> {
  // The lock comes first, in a statement of its own: what the next one reads was committed before the lock was given.
  const [locked] = await query<{ id: number; next_nonce: string; fence: string; state: string }>(
    'SELECT id, next_nonce, fence, state FROM gateway.signer WHERE network = $1 AND address = $2 FOR UPDATE',
    [network.name, signer.address],
  );
  if (locked === undefined || locked.state !== 'active') return undefined;
  const [counts] = await query<{ in_flight: number; slots: number; position: number; active: number }>(
    `SELECT count(a.id)::int AS in_flight, coalesce(sum(ceil(length(a.raw)::numeric / ${SLOT_BYTES})), 0)::int AS slots,
       (SELECT count(*)::int FROM gateway.signer s WHERE s.network = $2 AND s.state = 'active' AND s.id < $1
          AND s.address = ANY($3)) AS position,
       (SELECT count(*)::int FROM gateway.signer s WHERE s.network = $2 AND s.state = 'active' AND s.address = ANY($3)) AS active
     FROM gateway.transaction t
     JOIN gateway.attempt a ON a.transaction_id = t.id AND a.number = 1
     WHERE t.signer_id = $1 AND t.state IN ('signed', 'submitted')
       AND NOT EXISTS (
         SELECT FROM gateway.attempt b JOIN mirror.inclusion i ON i.network = $2 AND i.transaction_hash = b.hash
         WHERE b.transaction_id = t.id)`,
    [locked.id, network.name, network.signers.map(({ address }) => address)],
  );
  return { ...locked, ...counts! };
}

/** A record's acts all go through one signer, so they stay in order; which one follows from the record's id. */
async function takeWaiting(query: Query, network: SubmissionNetwork, state: SignerState): Promise<WaitingAct[]> {
  const share = state.active > 1 ? 'AND (get_byte(record_id, 30) * 256 + get_byte(record_id, 31)) % $3 = $4' : '';
  return query<WaitingAct>(
    `SELECT ordinal, code, request_id, record_id, parameters, actor, deadline, auth_context, signature,
       batch_limit AS "batchLimit"
     FROM gateway.operation
     WHERE network = $1 AND phase = 'accepted' ${share}
     ORDER BY priority DESC, ordinal LIMIT $2
     FOR UPDATE SKIP LOCKED`,
    state.active > 1 ? [network.name, MAX_ACTS, state.active, state.position] : [network.name, MAX_ACTS],
  );
}

function sign(network: SubmissionNetwork, signer: Signer, nonce: bigint, acts: readonly WaitingAct[]): Attempt {
  const intents = acts.map((act) => ({
    operation: act.code,
    requestId: act.request_id,
    recordId: act.record_id,
    parameters: act.parameters,
    actor: act.actor,
    deadline: Number(act.deadline),
    authContext: act.auth_context,
    signature: act.signature,
  }));
  return signLegacyTransaction(
    {
      chainId: network.chainId,
      nonce,
      gasPrice: GAS_PRICE,
      gasLimit: BigInt(transactionGas(intents)),
      to: network.contract,
      data: encodeExecute(intents),
    },
    signer.key,
  );
}

async function storeAttempts(
  query: Query,
  state: SignerState,
  first: bigint,
  transactions: readonly WaitingAct[][],
  attempts: readonly Attempt[],
): Promise<void> {
  const nonces = attempts.map((_, index) => String(first + BigInt(index)));
  const rides = transactions.flatMap((acts, index) =>
    acts.map(({ ordinal }, position) => ({ nonce: nonces[index]!, position, ordinal })),
  );
  const [moved] = await query<{ moved: number; signed: number }>(
    `WITH made AS (
       INSERT INTO gateway.transaction (signer_id, nonce) SELECT $1, n FROM unnest($2::bigint[]) n RETURNING id, nonce
     ), attempts AS (
       INSERT INTO gateway.attempt (transaction_id, number, kind, raw, hash, gas_price)
       SELECT made.id, 1, 'first', a.raw, a.hash, $5
       FROM unnest($2::bigint[], $3::bytea[], $4::bytea[]) AS a(nonce, raw, hash) JOIN made USING (nonce)
     ), rides AS (
       INSERT INTO gateway.transaction_operation (transaction_id, position, operation_ordinal)
       SELECT made.id, r.position, r.ordinal
       FROM unnest($6::bigint[], $7::integer[], $8::bigint[]) AS r(nonce, position, ordinal) JOIN made USING (nonce)
     ), signed AS (
       UPDATE gateway.operation SET phase = 'signed', updated_at = now()
       WHERE ordinal = ANY($8::bigint[]) AND phase = 'accepted' RETURNING 1
     ), moved AS (
       UPDATE gateway.signer SET next_nonce = $9, fence = fence + 1
       WHERE id = $1 AND fence = $10 AND next_nonce = $11 AND state = 'active' RETURNING 1
     )
     SELECT (SELECT count(*)::int FROM moved) AS moved, (SELECT count(*)::int FROM signed) AS signed`,
    [
      state.id,
      nonces,
      attempts.map(({ raw }) => raw),
      attempts.map(({ hash }) => hash),
      String(GAS_PRICE),
      rides.map(({ nonce }) => nonce),
      rides.map(({ position }) => position),
      rides.map(({ ordinal }) => ordinal),
      String(first + BigInt(attempts.length)),
      state.fence,
      state.next_nonce,
    ],
  );
  if (moved?.moved !== 1 || moved.signed !== rides.length) {
    throw new Error('The signer or its acts were changed by somebody else; nothing was signed.');
  }
}

async function failOversized(query: Query, acts: readonly WaitingAct[]): Promise<void> {
  await query(
    `UPDATE gateway.operation SET phase = 'failed', failure = '{"code":"TOO_LARGE"}', updated_at = now()
     WHERE ordinal = ANY($1::bigint[]) AND phase = 'accepted'`,
    [acts.map(({ ordinal }) => ordinal)],
  );
}
