import type { DataSource } from 'typeorm';
import { inTransaction, rowsOf } from '../../../database/src/transaction.js';
import type { Logger } from '../../../platform/src/logger.js';
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
  acts: number;
}

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
  // Deriving it again costs nothing, so the note needn't wait for the disk, nor for whoever notes a send or reconciles at the same
  // time: they lock the same rows, in an order of their own.
  const done = await rowsOf<{ id: string }>(
    dataSource,
    `UPDATE gateway.transaction SET state = 'final'
     FROM (SELECT set_config('synchronous_commit', 'off', true)) AS relaxed
     WHERE id IN (
       SELECT t.id FROM gateway.signer s
       JOIN gateway.transaction t ON t.signer_id = s.id AND t.state IN ('signed', 'submitted')
       JOIN gateway.attempt a ON a.transaction_id = t.id AND a.kind <> 'noop'
       JOIN mirror.inclusion i ON i.network = $1 AND i.transaction_hash = a.hash AND i.status = 1
       JOIN mirror.cursor c ON c.network = $1 AND i.block_number <= c.final_number
       WHERE s.network = $1
       FOR UPDATE OF t SKIP LOCKED)
     RETURNING id`,
    [network.name],
  );
  result.final = done.length;

  const without = await rowsOf<Included>(
    dataSource,
    `SELECT t.id AS transaction_id, s.id AS signer_id, s.address, t.nonce, a.kind, i.status,
       (SELECT count(*)::int FROM gateway.transaction_operation r WHERE r.transaction_id = t.id) AS acts
     FROM gateway.signer s
     JOIN gateway.transaction t ON t.signer_id = s.id AND t.state IN ('signed', 'submitted')
     JOIN gateway.attempt a ON a.transaction_id = t.id
     JOIN mirror.inclusion i ON i.network = $1 AND i.transaction_hash = a.hash
     JOIN mirror.cursor c ON c.network = $1 AND i.block_number <= c.final_number
     WHERE s.network = $1 AND (i.status = 0 OR a.kind = 'noop')
     ORDER BY s.id, t.nonce`,
    [network.name],
  );
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
  const alone = reverted && relayerActive && included.acts === 1;
  const returned = await inTransaction(dataSource, async (query) => {
    await query('SELECT FROM gateway.signer WHERE id = $1 FOR UPDATE', [included.signer_id]);
    const [settled] = await query<{ id: string }>(
      `UPDATE gateway.transaction SET state = $2 WHERE id = $1 AND state IN ('signed', 'submitted') RETURNING id`,
      [included.transaction_id, reverted ? 'reverted' : 'noop'],
    );
    if (settled === undefined) return 0;
    const back = await query<{ ordinal: string }>(
      `UPDATE gateway.operation o SET phase = $2, failure = $3, batch_limit = coalesce($4, batch_limit), updated_at = now()
       FROM gateway.transaction_operation r
       WHERE r.transaction_id = $1 AND o.ordinal = r.operation_ordinal AND o.phase = 'signed' RETURNING o.ordinal`,
      [
        included.transaction_id,
        alone ? 'failed' : 'accepted',
        alone ? JSON.stringify({ code: 'REVERTED' }) : null,
        reverted && relayerActive ? Math.max(1, Math.floor(included.acts / 2)) : null,
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
  logger.error(
    { alarm: true, network: network.name, nonce: included.nonce, acts: included.acts, relayerActive, alone },
    reverted ? 'A transaction reverted; its acts ride again.' : 'A transaction was replaced by one without effect.',
  );
  return returned;
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

/**
 * A nonce that we bound to other bytes, or haven't reached yet, is in a block: somebody else holds the key. (Nonces below the next
 * one that were never bound here were taken over from the chain at start-up.)
 */
async function findForeign(dataSource: DataSource, network: SubmissionNetwork, logger: Logger): Promise<void> {
  const quarantined = await rowsOf<{ nonce: string; hash: string }>(
    dataSource,
    `WITH open AS (
       SELECT s.id, s.address, s.next_nonce, coalesce((
         SELECT min(t.nonce) FROM gateway.transaction t WHERE t.signer_id = s.id AND t.state IN ('assigned', 'signed', 'submitted')
       ), s.next_nonce) AS lowest
       FROM gateway.signer s WHERE s.network = $1 AND s.state <> 'quarantined' AND s.address = ANY($2)
     ), foreign_use AS (
       SELECT DISTINCT ON (open.id) open.id, i.nonce, i.transaction_hash
       FROM open JOIN mirror.inclusion i ON i.network = $1 AND i.sender = open.address AND i.nonce >= open.lowest
       WHERE NOT EXISTS (SELECT FROM gateway.attempt a WHERE a.hash = i.transaction_hash)
         AND (i.nonce >= open.next_nonce
           OR EXISTS (SELECT FROM gateway.transaction t WHERE t.signer_id = open.id AND t.nonce = i.nonce))
       ORDER BY open.id, i.nonce
     )
     UPDATE gateway.signer s
     SET state = 'quarantined', fence = fence + 1, reason = 'FOREIGN_NONCE ' || f.nonce || ' 0x' || encode(f.transaction_hash, 'hex')
     FROM foreign_use f WHERE s.id = f.id
     RETURNING f.nonce, encode(f.transaction_hash, 'hex') AS hash`,
    [network.name, network.signers.map(({ address }) => address)],
  );
  for (const { nonce, hash } of quarantined) {
    const details = { alarm: true, network: network.name, nonce, hash: `0x${hash}` };
    logger.error(
      details,
      'A nonce of our signer was used by unknown bytes: the signer is quarantined. Is its key used elsewhere?',
    );
  }
}
