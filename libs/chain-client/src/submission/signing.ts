import type { DataSource } from 'typeorm';
import { encodeExecute } from '../../../contracts/src/intent.codec.js';
import { transactionGas } from '../../../contracts/src/operations.js';
import { inTransaction, type Query } from '../../../database/src/transaction.js';
import type { LocalSigner, Signer } from '../keys/signer.js';
import type { LegacyTransaction } from '../keys/transaction.js';
import type { Failpoint } from './failpoint.js';
import type { NewOperation } from './operation.types.js';
import { pack, SLOT_BYTES } from './packing.js';
import { keyOfRecord, lockShare, recordsHeldElsewhere } from './share.js';
import { packLimits, type SubmissionNetwork } from './submission.network.js';

/** Bytes that are stored and may be sent. */
export interface Attempt {
  hash: Buffer;
  raw: Buffer;
}

/** Bytes that are to be sent. */
export interface Outgoing extends Attempt {
  nonce: bigint;
}

export interface SignResult {
  /** In nonce order; already committed. */
  attempts: Outgoing[];
  /** Acts those carry. */
  acts: number;
  /** True when acts may still be waiting and there is room for them. */
  more: boolean;
  /** True when acts are waiting for transactions that are out to enter a block. */
  blocked: boolean;
}

/** An act as a transaction carries it. */
export type Signable = Pick<
  NewOperation,
  'code' | 'requestId' | 'recordId' | 'parameters' | 'actor' | 'deadline' | 'authContext' | 'signature'
>;

export interface WaitingAct extends Omit<Signable, 'deadline'> {
  ordinal: string;
  deadline: string;
  batchLimit: number | null;
  priority: number;
}

export interface Outlook {
  waiting: boolean;
  /** Nonces are assigned that have no bytes yet (external-signing.ts): they come first. */
  unfinished: boolean;
  in_flight: number;
  slots: number;
  /** Rank of this signer among the `active` ones, from 0. */
  position: number;
  active: number;
  /** This network has, or had, other signers. */
  others: boolean;
}

export interface SignerState {
  id: number;
  next_nonce: string;
  fence: string;
  state: string;
}

/** Acts looked at in one commit: five full transactions. */
const MAX_ACTS = 1_000;
export const GAS_PRICE = 0n;

/** Transactions of signer `s` that are in no block yet, and the slots of the node's pool they take. */
export const UNMINED = `
  SELECT count(*)::int AS in_flight, coalesce(sum(ceil(length(a.raw)::numeric / ${SLOT_BYTES})), 0)::int AS slots
  FROM gateway.transaction t JOIN gateway.attempt a ON a.transaction_id = t.id AND a.number = 1
  WHERE t.signer_id = s.id AND t.state IN ('signed', 'submitted') AND NOT EXISTS (
    SELECT FROM gateway.attempt b JOIN mirror.inclusion i ON i.network = s.network AND i.transaction_hash = b.hash
    WHERE b.transaction_id = t.id)`;

/**
 * Step 2 of the write path, one commit: takes what waits for this signer, packs it, binds the next nonces to signed bytes and stores
 * them. The signer's row is locked from first to last, so that two workers never hold the same nonce; a rollback returns all.
 */
export async function signWaiting(
  dataSource: DataSource,
  network: SubmissionNetwork,
  signer: LocalSigner,
  failpoint: Failpoint,
): Promise<SignResult> {
  const outlook = await lookOut(dataSource, network, signer);
  if (outlook === undefined || !outlook.waiting || outlook.unfinished) return nothing;
  const limits = packLimits(network, outlook.in_flight, outlook.slots);
  if (limits.maxTransactions === 0 || limits.maxSlots === 0) return { ...nothing, blocked: true };
  return inTransaction(dataSource, async (query) => {
    const [state] = await query<SignerState>(
      'SELECT id, next_nonce, fence, state FROM gateway.signer WHERE network = $1 AND address = $2 FOR UPDATE',
      [network.name, signer.address],
    );
    if (state?.state !== 'active') return nothing;
    const { acts: waiting, held } = await takeWaiting(query, network, state, outlook);
    const { transactions, oversized } = pack(waiting, limits);
    if (oversized.length > 0) await failOversized(query, oversized);
    if (transactions.length === 0) return { ...nothing, blocked: held || waiting.length > oversized.length };

    const first = BigInt(state.next_nonce);
    const attempts = transactions.map((acts, index) =>
      sign(network, signer, first + BigInt(index), acts.map(signable)),
    );
    await storeAttempts(query, state, first, transactions, attempts);
    failpoint('before-attempt-commit');
    const acts = transactions.reduce((sum, { length }) => sum + length, 0);
    const blocked = held || acts + oversized.length < waiting.length;
    return { attempts, acts, more: !blocked && waiting.length === MAX_ACTS, blocked };
  });
}

export const nothing: SignResult = { attempts: [], acts: 0, more: false, blocked: false };

/** A look before anything is locked: is there work, is there room? Undefined while the signer isn't active. */
export async function lookOut(
  dataSource: DataSource,
  network: SubmissionNetwork,
  signer: Signer,
): Promise<Outlook | undefined> {
  const [outlook]: Outlook[] = await dataSource.query(
    `SELECT EXISTS (SELECT FROM gateway.operation WHERE network = $1 AND phase = 'accepted') AS waiting,
       EXISTS (SELECT FROM gateway.transaction WHERE signer_id = s.id AND state = 'assigned') AS unfinished,
       EXISTS (SELECT FROM gateway.signer WHERE network = $1 AND id <> s.id) AS others,
       unmined.in_flight, unmined.slots, peers.position, peers.active
     FROM gateway.signer s,
     LATERAL (${UNMINED}) unmined,
     LATERAL (
       SELECT count(*) FILTER (WHERE p.id < s.id)::int AS position, count(*)::int AS active
       FROM gateway.signer p WHERE p.network = $1 AND p.state = 'active' AND p.address = ANY($3)
     ) peers
     WHERE s.network = $1 AND s.address = $2 AND s.state = 'active'`,
    [network.name, signer.address, network.signers.map(({ address }) => address)],
  );
  return outlook;
}

/**
 * What waits for this signer, locked. A record's acts all go through one signer, so they stay in order; which one follows from the
 * record's id. Where there are several, one at a time takes, and leaves acts whose record has an act out with another signer; an
 * emergency goes ahead of such order as it does of any.
 * @returns `held`: acts were left for that reason
 */
export async function takeWaiting(
  query: Query,
  network: SubmissionNetwork,
  signer: SignerState,
  share: Outlook,
): Promise<{ acts: WaitingAct[]; held: boolean }> {
  if (share.others) await lockShare(query, network.name);
  const filter = share.active > 1 ? 'AND (get_byte(record_id, 30) * 256 + get_byte(record_id, 31)) % $3 = $4' : '';
  const acts = await query<WaitingAct>(
    `SELECT ordinal, code, request_id AS "requestId", record_id AS "recordId", parameters, actor, deadline,
       auth_context AS "authContext", signature, batch_limit AS "batchLimit", priority
     FROM gateway.operation
     WHERE network = $1 AND phase = 'accepted' ${filter}
     ORDER BY priority DESC, ordinal LIMIT $2
     FOR UPDATE SKIP LOCKED`,
    share.active > 1 ? [network.name, MAX_ACTS, share.active, share.position] : [network.name, MAX_ACTS],
  );
  if (!share.others) return { acts, held: false };
  const elsewhere = await recordsHeldElsewhere(query, network.name, signer.id);
  const free = acts.filter((act) => act.priority > 0 || !elsewhere.has(keyOfRecord(act.recordId)));
  return { acts: free, held: free.length < acts.length };
}

export function signable(act: WaitingAct): Signable {
  return { ...act, deadline: Number(act.deadline) };
}

/** The bytes that carry `acts` under `nonce`. */
export function sign(
  network: SubmissionNetwork,
  signer: LocalSigner,
  nonce: bigint,
  acts: readonly Signable[],
): Outgoing {
  return { ...signer.sign(unsignedTransaction(network, nonce, acts)), nonce };
}

/** What carries `acts` under `nonce`, as it is to be signed. */
export function unsignedTransaction(
  network: SubmissionNetwork,
  nonce: bigint,
  acts: readonly Signable[],
): LegacyTransaction {
  const intents = acts.map((act) => ({ ...act, operation: act.code }));
  return {
    chainId: network.chainId,
    nonce,
    gasPrice: GAS_PRICE,
    gasLimit: BigInt(transactionGas(intents)),
    to: network.contract,
    data: encodeExecute(intents),
  };
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

export async function failOversized(query: Query, acts: readonly WaitingAct[]): Promise<void> {
  await query(
    `UPDATE gateway.operation SET phase = 'failed', failure = '{"code":"TOO_LARGE"}', updated_at = now()
     WHERE ordinal = ANY($1::bigint[]) AND phase = 'accepted'`,
    [acts.map(({ ordinal }) => ordinal)],
  );
}
