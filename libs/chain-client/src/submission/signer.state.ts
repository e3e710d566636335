import type { DataSource } from 'typeorm';
import { inTransaction, type Query, rowsOf } from '../../../database/src/transaction.js';
import type { Logger } from '../../../platform/src/logger.js';
import type { Signer } from '../keys/signer.js';
import { releaseAssignments } from './assignment.js';
import type { SubmissionNetwork } from './submission.network.js';

const MIRROR_BEHIND = 'MIRROR_BEHIND';

interface ChainView {
  tip: bigint;
  /** Nonces used in blocks. */
  mined: bigint;
  /** Those, and the ones in the node's pool that follow without gap. */
  pending: bigint;
}

interface SignerRow {
  id: number;
  next_nonce: string;
  fence: string;
  state: string;
  reason: string | null;
}

/** Makes the rows of the signers configured, where they are missing. */
export async function registerSigners(dataSource: DataSource, network: SubmissionNetwork): Promise<void> {
  await dataSource.query(
    `INSERT INTO gateway.signer (network, address) SELECT $1, a FROM unnest($2::bytea[]) a
     ON CONFLICT (network, address) DO NOTHING`,
    [network.name, network.signers.map(({ address }) => address)],
  );
}

/**
 * Holds each signer against the chain. When at start-up the chain is ahead of what this database has assigned, the database was
 * restored from an earlier point (or is new): nothing is assigned until all of the signer's transactions are mined and in the
 * mirror; then the next nonce follows the chain. The acts those carried may be asked for again: their request ids keep them from
 * happening twice. Later on, a chain that is ahead means another user of the key, which is for `reconcile` to find.
 * @throws RpcError when the node can't be asked
 */
export async function alignSigners(
  dataSource: DataSource,
  network: SubmissionNetwork,
  logger: Logger,
  when: 'start' | 'running',
): Promise<void> {
  for (const signer of network.signers) {
    if (when === 'running' && !(await waitsForMirror(dataSource, network, signer))) continue;
    const tip = await network.reader.blockNumber();
    const mined = await network.reader.transactionCount(signer.address, 'latest');
    const pending = await network.reader.transactionCount(signer.address, 'pending');
    const outcome = await align(dataSource, network, signer, { tip, mined, pending });
    const details = { network: network.name, mined: String(mined), pending: String(pending) };
    if (outcome === 'quarantined') {
      logger.error(
        { alarm: true, runbook: 'database-behind-chain', ...details },
        'The chain is ahead of this database; the signer waits for the mirror.',
      );
    } else if (outcome === 'moved') {
      logger.warn(details, "The signer's next nonce follows the chain.");
    }
  }
}

async function align(
  dataSource: DataSource,
  network: SubmissionNetwork,
  signer: Signer,
  chain: ChainView,
): Promise<'unchanged' | 'quarantined' | 'moved'> {
  return inTransaction(dataSource, async (query) => {
    // Read after the chain: what it holds of ours was assigned, committed and sent before.
    let row = await lockSigner(query, network, signer);
    if (row === undefined) return 'unchanged';
    // Nothing is sent before its bytes are stored: those of a nonce that is used and only assigned here were lost with the database.
    if ((await isAssignedBelow(query, row.id, chain)) && (await releaseAssignments(query, network, row.id)) > 0) {
      row = (await lockSigner(query, network, signer))!;
    }
    const waiting = row.state === 'quarantined' && row.reason === MIRROR_BEHIND;
    const next = BigInt(row.next_nonce);
    const behind = next < chain.mined || next < chain.pending;
    if (row.state === 'quarantined' ? !waiting : !behind) return 'unchanged';
    if (behind && !(await mayFollow(query, network, row, chain))) {
      if (waiting) return 'unchanged';
      const quarantine = `UPDATE gateway.signer SET state = 'quarantined', reason = $2, fence = fence + 1 WHERE id = $1`;
      await query(quarantine, [row.id, MIRROR_BEHIND]);
      return 'quarantined';
    }
    await query(
      `UPDATE gateway.signer SET next_nonce = greatest(next_nonce, $2), state = 'active', reason = NULL, fence = fence + 1
       WHERE id = $1`,
      [row.id, String(chain.mined)],
    );
    return 'moved';
  });
}

async function lockSigner(query: Query, network: SubmissionNetwork, signer: Signer): Promise<SignerRow | undefined> {
  const [row] = await query<SignerRow>(
    'SELECT id, next_nonce, fence, state, reason FROM gateway.signer WHERE network = $1 AND address = $2 FOR UPDATE',
    [network.name, signer.address],
  );
  return row;
}

async function isAssignedBelow(query: Query, signerId: number, { pending }: ChainView): Promise<boolean> {
  const rows = await query(
    `SELECT FROM gateway.transaction WHERE signer_id = $1 AND state = 'assigned' AND nonce < $2 LIMIT 1`,
    [signerId, String(pending)],
  );
  return rows.length > 0;
}

/** A key this database never used (it deployed the ledger, say) has nothing here that the mirror could tell more about. */
async function mayFollow(query: Query, network: SubmissionNetwork, row: SignerRow, chain: ChainView): Promise<boolean> {
  if (chain.pending > chain.mined) return false;
  const [used] = await query<{ any: boolean }>(
    `SELECT EXISTS (SELECT FROM gateway.operation WHERE network = $1) AS any`,
    [network.name],
  );
  if (row.fence === '0' && used?.any === false) return true;
  const [cursor] = await query<{ number: string }>('SELECT number FROM mirror.cursor WHERE network = $1', [
    network.name,
  ]);
  return cursor !== undefined && BigInt(cursor.number) >= chain.tip;
}

async function waitsForMirror(dataSource: DataSource, network: SubmissionNetwork, signer: Signer): Promise<boolean> {
  const rows = await rowsOf(
    dataSource,
    `SELECT id FROM gateway.signer WHERE network = $1 AND address = $2 AND state = 'quarantined' AND reason = $3`,
    [network.name, signer.address, MIRROR_BEHIND],
  );
  return rows.length > 0;
}

/** Lets paused signers go on once nothing of theirs is stuck: every stored transaction is in a block or with the node. */
export async function resumeSigners(
  dataSource: DataSource,
  network: SubmissionNetwork,
  logger: Logger,
): Promise<number> {
  const resumed = await rowsOf<{ id: number }>(
    dataSource,
    `UPDATE gateway.signer s SET state = 'active', reason = NULL, fence = fence + 1
     WHERE s.network = $1 AND s.state = 'paused' AND s.address = ANY($2)
       AND s.reason IS DISTINCT FROM 'PAUSED_BY_ADMIN'
       AND (s.reason <> 'RELAYER_INACTIVE' OR EXISTS (
         SELECT FROM mirror.relayer r WHERE r.network = $1 AND r.address = s.address AND r.active))
       AND NOT EXISTS (
         SELECT FROM gateway.transaction t WHERE t.signer_id = s.id AND t.state = 'signed' AND NOT EXISTS (
           SELECT FROM gateway.attempt a JOIN mirror.inclusion i ON i.network = $1 AND i.transaction_hash = a.hash
           WHERE a.transaction_id = t.id))
     RETURNING s.id`,
    [network.name, network.signers.map(({ address }) => address)],
  );
  if (resumed.length > 0) logger.info({ network: network.name }, 'A paused signer goes on.');
  return resumed.length;
}
