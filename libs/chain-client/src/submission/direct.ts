import type { DataSource } from 'typeorm';
import { binaryArray } from '../../../database/src/binary-array.js';
import { inTransaction, type Query, type Statement } from '../../../database/src/transaction.js';
import type { LocalSigner } from '../keys/signer.js';
import type { Failpoint } from './failpoint.js';
import {
  acceptedRow,
  INSERTED_COLUMNS,
  type InsertedRow,
  insertOperations,
  type NamedOperation,
  OPERATION_ARRAYS,
  operationArrays,
} from './operation.insert.js';
import type { Accepted, IdempotencyMismatch } from './operation.types.js';
import { pack } from './packing.js';
import { FIRST_OTHERS } from './share.js';
import { type Attempt, GAS_PRICE, type SignerState, sign, UNMINED } from './signing.js';
import { packLimits, type SubmissionNetwork } from './submission.network.js';

/** What became of acts that were to be accepted and signed at once. Those taken are the first `outcomes.length` of those given. */
export interface Direct {
  outcomes: (Accepted | IdempotencyMismatch)[];
  /** What carries them, in nonce order; empty where they are stored as accepted only, as something else goes before them. */
  attempts: Attempt[];
  /** No transaction may be made before others are mined: nothing was stored. */
  full: boolean;
}

/** The statement found less, or more, than there was when it was prepared: a replay among the acts, or a signer that moved. */
class Overtaken extends Error {}

/** Acts of keys that were used before, by their place among those given. Nothing was stored; the others are to be tried again. */
export interface Known {
  known: number[];
}

interface LockedSigner extends SignerState {
  waiting: boolean;
  /** Places, from 1; null for none. */
  known: number[] | null;
  in_flight: number;
  slots: number;
}

const LOCK: Statement = {
  name: 'direct-lock',
  text: `SELECT s.id, s.next_nonce, s.fence, s.state, unmined.in_flight, unmined.slots,
      EXISTS (SELECT FROM gateway.operation WHERE network = $1 AND phase = 'accepted') OR EXISTS (${FIRST_OTHERS}) AS waiting,
      (SELECT array_agg(q.n::int) FROM unnest($3::bytea[]) WITH ORDINALITY AS q(request_id, n)
        WHERE (SELECT true FROM gateway.operation o WHERE o.network = $1 AND o.request_id = q.request_id LIMIT 1)) AS known
    FROM gateway.signer s, LATERAL (${UNMINED}) unmined
    WHERE s.network = $1 AND s.address = $2 FOR UPDATE OF s`,
};

const STORE: Statement = {
  name: 'direct-store',
  text: `WITH stored AS (
      INSERT INTO gateway.operation (${INSERTED_COLUMNS}, phase) SELECT *, 'signed' FROM unnest(${OPERATION_ARRAYS})
      ON CONFLICT (network, request_id) DO NOTHING RETURNING id, ordinal, request_id, network, created_at
    ), made AS (
      INSERT INTO gateway.transaction (signer_id, nonce) SELECT $17, n FROM unnest($18::bigint[]) n RETURNING id, nonce
    ), attempts AS (
      INSERT INTO gateway.attempt (transaction_id, number, kind, raw, hash, gas_price)
      SELECT made.id, 1, 'first', a.raw, a.hash, $21
      FROM unnest($18::bigint[], $19::bytea[], $20::bytea[]) AS a(nonce, raw, hash) JOIN made USING (nonce)
    ), rides AS (
      INSERT INTO gateway.transaction_operation (transaction_id, position, operation_ordinal)
      SELECT made.id, r.position, stored.ordinal
      FROM unnest($2::bytea[], $22::bigint[], $23::integer[]) AS r(request_id, nonce, position)
        JOIN stored USING (request_id) JOIN made USING (nonce)
    ), moved AS (
      UPDATE gateway.signer SET next_nonce = $24, fence = fence + 1
      WHERE id = $17 AND fence = $25 AND next_nonce = $26 AND state = 'active' RETURNING 1
    )
    SELECT stored.*, (SELECT count(*)::int FROM moved) AS moved FROM stored`,
};

/**
 * Steps 1 and 2 of the write path in one commit: stores acts together with the signed bytes that carry them. Nothing is gained by
 * accepting an act first when the signer is free to take it: it would be written twice. When something waits already the acts are
 * stored as accepted and take their place behind it.
 * @returns undefined when it can't be done so (somebody else was faster): the acts are to be accepted the usual way
 * @throws Error of the driver; after a lost connection it is unknown whether they were stored
 */
export async function acceptAndSign(
  dataSource: DataSource,
  network: SubmissionNetwork,
  signer: LocalSigner,
  operations: readonly NamedOperation[],
  failpoint: Failpoint,
): Promise<Direct | Known | undefined> {
  const requestIds = binaryArray(
    'bytea',
    operations.map(({ requestId }) => requestId),
  );
  try {
    return await inTransaction(dataSource, async (query) => {
      const [state] = await query<LockedSigner>(LOCK, [network.name, signer.address, requestIds]);
      if (state === undefined) throw new Overtaken('the signer has no row');
      if (state.known !== null) return { known: state.known.map((place) => place - 1) };
      if (state.waiting || state.state !== 'active') return acceptOnly(operations, query, failpoint);
      const limits = packLimits(network, state.in_flight, state.slots);
      if (limits.maxTransactions === 0 || limits.maxSlots === 0) return { outcomes: [], attempts: [], full: true };
      const { transactions, oversized } = pack(operations.map(packable), limits);
      // One that fits into no transaction fails by its own row, which is for the signing of waiting acts to write.
      if (oversized.length > 0) return acceptOnly(operations, query, failpoint);
      if (transactions.length === 0) return { outcomes: [], attempts: [], full: true };
      const signed = await signAndStore(query, network, signer, state, transactions);
      failpoint('before-accept-commit');
      failpoint('before-attempt-commit');
      return signed;
    });
  } catch (error) {
    if (error instanceof Overtaken) return undefined;
    throw error;
  }
}

async function acceptOnly(operations: readonly NamedOperation[], query: Query, failpoint: Failpoint): Promise<Direct> {
  const outcomes = await insertOperations(operations, query);
  failpoint('before-accept-commit');
  return { outcomes, attempts: [], full: false };
}

interface Fresh extends NamedOperation {
  batchLimit: null;
}

function packable(operation: NamedOperation): Fresh {
  return { ...operation, batchLimit: null };
}

async function signAndStore(
  query: Query,
  network: SubmissionNetwork,
  signer: LocalSigner,
  state: SignerState,
  transactions: readonly Fresh[][],
): Promise<Direct> {
  const first = BigInt(state.next_nonce);
  const nonces = transactions.map((_, index) => first + BigInt(index));
  const attempts = transactions.map((acts, index) => sign(network, signer, nonces[index]!, acts));
  const operations = transactions.flat();
  const rows = await query<InsertedRow & { moved: number }>(STORE, [
    ...operationArrays(operations),
    state.id,
    binaryArray('int8', nonces),
    binaryArray(
      'bytea',
      attempts.map(({ raw }) => raw),
    ),
    binaryArray(
      'bytea',
      attempts.map(({ hash }) => hash),
    ),
    String(GAS_PRICE),
    binaryArray(
      'int8',
      transactions.flatMap((acts, index) => acts.map(() => nonces[index]!)),
    ),
    binaryArray(
      'int4',
      transactions.flatMap((acts) => acts.map((_, position) => position)),
    ),
    String(first + BigInt(attempts.length)),
    state.fence,
    state.next_nonce,
  ]);
  if (rows.length !== operations.length || rows[0]?.moved !== 1) throw new Overtaken('a key was used before');
  const byId = new Map(rows.map((row) => [row.id, row]));
  const outcomes = operations.map((operation): Accepted => {
    const row = byId.get(operation.id);
    if (row === undefined) throw new Overtaken('another act of the same key was stored');
    return { operation: acceptedRow(operation, row, 'signed'), replayed: false };
  });
  return { outcomes, attempts, full: false };
}
