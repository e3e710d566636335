import type { DataSource } from 'typeorm';
import { binaryArray } from '../../../database/src/binary-array.js';
import { inTransaction, rowsOf } from '../../../database/src/transaction.js';
import type { Logger } from '../../../platform/src/logger.js';
import { lockShare } from './share.js';
import type { SubmissionNetwork } from './submission.network.js';

export interface Reconciled {
  /** Transactions that are final with their acts carried out. */
  final: number;
  /** Acts that went back to accepted and want to ride again. */
  returned: number;
}

interface Included {
  transaction_id: string;
  signer_id: number;
  address: Buffer;
  nonce: string;
  kind: 'first' | 'bump' | 'noop';
  status: number;
}

/*
 * Each step is a look-up by key from the few transactions that are out. LATERAL with LIMIT keeps it that where the planner knows nothing of
 * the tables yet: joined the plain way, it starts from the cursor and reads every inclusion there ever was, at each commit of the mirror.
 */
const SETTLED = {
  name: 'reconcile-settled',
  text: `SELECT t.id AS transaction_id, s.id AS signer_id, s.address, t.nonce, a.kind, a.status
    FROM gateway.signer s
    JOIN gateway.transaction t ON t.signer_id = s.id AND t.state IN ('signed', 'submitted')
    CROSS JOIN LATERAL (
      SELECT a.kind, i.status FROM gateway.attempt a
      CROSS JOIN LATERAL (
        SELECT i.status, i.block_number FROM mirror.inclusion i
        WHERE i.network = $1 AND i.transaction_hash = a.hash LIMIT 1
      ) i
      WHERE a.transaction_id = t.id AND i.block_number <= (SELECT c.final_number FROM mirror.cursor c WHERE c.network = $1)
      LIMIT 1
    ) a
    WHERE s.network = $1 ORDER BY s.id, t.nonce`,
};

/*
 * Deriving it again costs nothing, so the note needn't wait for the disk, nor for whoever notes a send or reconciles at the same time: they
 * lock the same rows, in an order of their own.
 */
const MARK_FINAL = {
  name: 'reconcile-final',
  text: `UPDATE gateway.transaction SET state = 'final'
    FROM (SELECT set_config('synchronous_commit', 'off', true)) AS relaxed
    WHERE id IN (
      SELECT id FROM gateway.transaction WHERE id = ANY($1::bigint[]) AND state IN ('signed', 'submitted') FOR UPDATE SKIP LOCKED)
    RETURNING id`,
};

/**
 * Step 4: learns from the mirror what became of the transactions that are out. Only what is final counts: an inclusion that may
 * still be reorganised away changes nothing. Safe to run anywhere, at any time, as often as wanted.
 */
export async function reconcile(
  dataSource: DataSource,
  network: SubmissionNetwork,
  logger: Logger,
): Promise<Reconciled> {
  const result: Reconciled = { final: 0, returned: 0 };
  const settled = await rowsOf<Included>(dataSource, SETTLED, [network.name]);
  const carried = (included: Included) => included.status === 1 && included.kind !== 'noop';
  const done = settled.filter(carried);
  if (done.length > 0) {
    const ids = done.map(({ transaction_id }) => BigInt(transaction_id));
    result.final = (await rowsOf(dataSource, MARK_FINAL, [binaryArray('int8', ids)])).length;
  }
  const without = settled.filter((included) => !carried(included));
  for (const included of without) result.returned += await returnActs(dataSource, network, included, logger);
  // Before the signers were held against the chain, nonces a restored database forgot would look foreign.
  if (network.aligned) await findForeign(dataSource, network, logger);
  return result;
}

/**
 * A transaction that is final without effect: its acts go back to accepted. After a revert they ride in halves, until the one that
 * breaks its batch is alone; that one has failed, as its bytes are spent.
 */
async function returnActs(
  dataSource: DataSource,
  network: SubmissionNetwork,
  included: Included,
  logger: Logger,
): Promise<number> {
  const reverted = included.kind !== 'noop';
  const relayerActive = !reverted || (await isActiveRelayer(dataSource, network, included.address));
  const acts = await actsOf(dataSource, included);
  const alone = reverted && relayerActive && acts === 1;
  const returned = await inTransaction(dataSource, async (query) => {
    await query('SELECT FROM gateway.signer WHERE id = $1 FOR UPDATE', [included.signer_id]);
    await lockShare(query, network.name);
    const [settled] = await query<{ id: string }>(
      `UPDATE gateway.transaction SET state = $2 WHERE id = $1 AND state IN ('signed', 'submitted') RETURNING id`,
      [included.transaction_id, reverted ? 'reverted' : 'noop'],
    );
    if (settled === undefined) return 0;
    const back = await query<{ ordinal: string }>(
      `UPDATE gateway.operation o SET phase = CASE WHEN r.withdrawn THEN 'cancelled' ELSE $2 END,
         failure = CASE WHEN r.withdrawn THEN NULL ELSE $3::jsonb END, batch_limit = coalesce($4, batch_limit), updated_at = now()
       FROM gateway.transaction_operation r
       WHERE r.transaction_id = $1 AND o.ordinal = r.operation_ordinal AND o.phase = 'signed' RETURNING o.ordinal`,
      [
        included.transaction_id,
        alone ? 'failed' : 'accepted',
        alone ? JSON.stringify({ code: 'REVERTED' }) : null,
        reverted && relayerActive ? Math.max(1, Math.floor(acts / 2)) : null,
      ],
    );
    if (!relayerActive) {
      await query(
        `UPDATE gateway.signer SET state = 'paused', reason = 'RELAYER_INACTIVE', fence = fence + 1
         WHERE id = $1 AND state = 'active'`,
        [included.signer_id],
      );
    }
    return alone ? 0 : back.length;
  });
  const details = { network: network.name, nonce: included.nonce, acts };
  if (reverted) {
    logger.error(
      { alarm: true, runbook: 'transaction-reverted', ...details, relayerActive, alone },
      'A transaction reverted; its acts ride again.',
    );
  } else logger.warn(details, 'A NOOP was mined; the acts of the transaction it replaced ride again.');
  return returned;
}

async function actsOf(dataSource: DataSource, { transaction_id }: Included): Promise<number> {
  const [ridden] = await rowsOf<{ acts: number }>(
    dataSource,
    'SELECT count(*)::int AS acts FROM gateway.transaction_operation WHERE transaction_id = $1',
    [transaction_id],
  );
  return ridden?.acts ?? 0;
}

/** Unknown relayers are the one thing that reverts every transaction of a signer: splitting batches would not help. */
async function isActiveRelayer(dataSource: DataSource, network: SubmissionNetwork, address: Buffer): Promise<boolean> {
  const [relayer] = await rowsOf<{ active: boolean }>(
    dataSource,
    'SELECT active FROM mirror.relayer WHERE network = $1 AND address = $2',
    [network.name, address],
  );
  return relayer?.active ?? false;
}

const QUARANTINE_FOREIGN = {
  name: 'reconcile-foreign',
  text: `WITH open AS (
       SELECT s.id, s.address, s.next_nonce, coalesce((
         SELECT min(t.nonce) FROM gateway.transaction t WHERE t.signer_id = s.id AND t.state IN ('assigned', 'signed', 'submitted')
       ), s.next_nonce) AS lowest
       FROM gateway.signer s WHERE s.network = $1 AND s.state <> 'quarantined' AND s.address = ANY($2::bytea[])
     ), foreign_use AS (
       SELECT DISTINCT ON (open.id) open.id, i.nonce, i.transaction_hash
       FROM open CROSS JOIN LATERAL (
         SELECT i.nonce, i.transaction_hash FROM mirror.inclusion i
         WHERE i.network = $1 AND i.sender = open.address AND i.nonce >= open.lowest ORDER BY i.nonce LIMIT 1000
       ) i
       WHERE NOT EXISTS (SELECT FROM gateway.attempt a WHERE a.hash = i.transaction_hash)
         AND (i.nonce >= open.next_nonce
           OR EXISTS (
             SELECT FROM gateway.transaction t WHERE t.signer_id = open.id AND t.nonce = i.nonce AND t.state <> 'lost'))
       ORDER BY open.id, i.nonce
     )
     UPDATE gateway.signer s
     SET state = 'quarantined', fence = fence + 1, reason = 'FOREIGN_NONCE ' || f.nonce || ' 0x' || encode(f.transaction_hash, 'hex')
     FROM foreign_use f WHERE s.id = f.id
     RETURNING f.nonce, encode(f.transaction_hash, 'hex') AS hash`,
};

/**
 * A nonce that we bound to other bytes, or haven't reached yet, is in a block: somebody else holds the key. (Nonces below the next
 * one that were never bound here were taken over from the chain at start-up; lost ones are known to be somebody else's.)
 */
async function findForeign(dataSource: DataSource, network: SubmissionNetwork, logger: Logger): Promise<void> {
  const quarantined = await rowsOf<{ nonce: string; hash: string }>(dataSource, QUARANTINE_FOREIGN, [
    network.name,
    network.signers.map(({ address }) => address),
  ]);
  for (const { nonce, hash } of quarantined) {
    const details = { alarm: true, runbook: 'signer-quarantined', network: network.name, nonce, hash: `0x${hash}` };
    logger.error(
      details,
      'A nonce of our signer was used by unknown bytes: the signer is quarantined. Is its key used elsewhere?',
    );
  }
}
