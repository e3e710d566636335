import { setTimeout as sleep } from 'node:timers/promises';
import { inTransaction, type Query, rowsOf } from '../../../database/src/transaction.js';
import { releaseAssignments } from './assignment.js';
import {
  type FoundSigner,
  findSigner,
  type InSameCommit,
  type OperatorContext,
  OperatorRefusal,
} from './operator.signer.js';
import { reconcile } from './reconcile.js';

export interface ReleaseRequest {
  signerId: number;
  inSameCommit: InSameCommit;
}

export interface Released {
  nextNonce: bigint;
  /** Transactions whose nonces other bytes used. */
  lost: number;
  /** Acts of those that ride again. */
  returned: number;
}

interface ChainView {
  /** Nonces used in blocks that are final in the mirror. */
  final: bigint;
  /** Nonces used in blocks. */
  mined: bigint;
}

const LEVEL_WITHIN_MS = 2_000;

/**
 * Lets a quarantined signer go on. What its nonces were used for is read from the mirror, level with the node and final: transactions
 * of ours whose nonces other bytes took are lost, their acts ride again (the ledger knows their request ids, so none happens twice),
 * and the next nonce follows the chain. Needs no key: what a signer out of use lost rides again through the others.
 * @throws OperatorRefusal with nothing changed; RpcError when the node can't be asked
 */
export async function release(context: OperatorContext, request: ReleaseRequest): Promise<Released> {
  const found = await findSigner(context, request.signerId);
  if (found.state !== 'quarantined') throw notQuarantined();
  const { network } = found;
  const chain = await lookAtChain(context, found);
  // Our own transactions that are final get their own ends first.
  await reconcile(context.dataSource, network, context.logger);
  const released = await inTransaction(context.dataSource, async (query) => {
    const [row] = await query<{ state: string; fence: string; reason: string | null }>(
      'SELECT state, fence, reason FROM gateway.signer WHERE id = $1 FOR UPDATE',
      [found.id],
    );
    if (row?.state !== 'quarantined') throw notQuarantined();
    if (row.fence !== found.fence) {
      throw new OperatorRefusal(
        'CHANGED_MEANWHILE',
        'The signer changed at the same moment: read it again and decide anew.',
      );
    }
    // What has no bytes yet lost nothing: it rides again, under whatever nonces come next.
    await releaseAssignments(query, network, found.id);
    const settled = await settleLost(query, found, chain.final);
    const [moved] = await query<{ next_nonce: string }>(
      `UPDATE gateway.signer SET next_nonce = greatest(next_nonce, $2), state = 'active', reason = NULL, fence = fence + 1
       WHERE id = $1 RETURNING next_nonce`,
      [found.id, String(chain.mined)],
    );
    const nextNonce = BigInt(moved!.next_nonce);
    const facts = { ...settled, nextNonce: String(nextNonce), quarantine: row.reason };
    await request.inSameCommit(query, facts);
    return { ...settled, nextNonce };
  });
  context.logger.warn(
    { network: network.name, lost: released.lost, returned: released.returned, nextNonce: String(released.nextNonce) },
    'A quarantined signer was released by an operator.',
  );
  context.ring(network.name);
  return released;
}

function notQuarantined(): OperatorRefusal {
  return new OperatorRefusal('NOT_QUARANTINED', 'The signer is not quarantined; there is nothing to release.');
}

/** @throws OperatorRefusal unless mirror and node tell the same about every nonce that was used */
async function lookAtChain(context: OperatorContext, found: FoundSigner): Promise<ChainView> {
  const { network, address } = found;
  const { reader } = network;
  const tip = await reader.blockNumber();
  const cursor = await levelCursor(context, network.name, tip);
  if (cursor.number < tip) {
    throw new OperatorRefusal(
      'MIRROR_BEHIND',
      `The mirror is at block ${cursor.number}, the node at ${tip}: see that the indexer runs, wait until it caught up, and ask again.`,
    );
  }
  if (cursor.number > tip && (await reader.blockNumber()) < cursor.number) {
    throw new OperatorRefusal(
      'NODE_BEHIND',
      `The node is at block ${tip}, behind the mirror at ${cursor.number}: let the supervisor heal it, and ask again.`,
    );
  }
  const final = await reader.transactionCount(address, cursor.final);
  const mined = await reader.transactionCount(address, 'latest');
  if (mined > final) {
    throw new OperatorRefusal(
      'NOT_FINAL',
      `The signer's nonces up to ${mined - 1n} are mined, but only those below ${final} are final: ask again in some blocks.`,
    );
  }
  const pending = await reader.transactionCount(address, 'pending');
  if (pending > mined && (await ownInPool(context, found, { from: mined, to: pending })) < pending - mined) {
    throw new OperatorRefusal(
      'POOL_HOLDS_FOREIGN',
      "The node's pool holds transactions of this key that are not ours: stop whoever sends them, wait until they are mined, and ask again.",
    );
  }
  return { final, mined };
}

async function levelCursor(
  context: OperatorContext,
  network: string,
  tip: bigint,
): Promise<{ number: bigint; final: bigint }> {
  for (const until = Date.now() + LEVEL_WITHIN_MS; ; ) {
    const [row] = await rowsOf<{ number: string; final_number: string }>(
      context.dataSource,
      'SELECT number, final_number FROM mirror.cursor WHERE network = $1',
      [network],
    );
    const cursor = { number: BigInt(row?.number ?? -1), final: BigInt(row?.final_number ?? 0) };
    if (cursor.number >= tip || Date.now() > until) return cursor;
    await sleep(100);
  }
}

/** How many of these nonces the node's pool or a block holds bytes of ours for. */
async function ownInPool(
  context: OperatorContext,
  { id, network }: FoundSigner,
  nonces: { from: bigint; to: bigint },
): Promise<bigint> {
  const attempts = await rowsOf<{ nonce: string; hash: Buffer }>(
    context.dataSource,
    `SELECT t.nonce, a.hash FROM gateway.transaction t JOIN gateway.attempt a ON a.transaction_id = t.id
     WHERE t.signer_id = $1 AND t.nonce >= $2 AND t.nonce < $3`,
    [id, String(nonces.from), String(nonces.to)],
  );
  const known = await network.reader.known(attempts.map(({ hash }) => hash));
  return BigInt(new Set(attempts.filter((_, index) => known[index] !== 'unknown').map(({ nonce }) => nonce)).size);
}

async function settleLost(
  query: Query,
  { id, network }: FoundSigner,
  used: bigint,
): Promise<{ lost: number; returned: number }> {
  const lost = await query<{ id: string }>(
    `UPDATE gateway.transaction t SET state = 'lost'
     WHERE t.signer_id = $1 AND t.nonce < $2 AND t.state IN ('signed', 'submitted') AND NOT EXISTS (
       SELECT FROM gateway.attempt a JOIN mirror.inclusion i ON i.network = $3 AND i.transaction_hash = a.hash
       WHERE a.transaction_id = t.id)
     RETURNING t.id`,
    [id, String(used), network.name],
  );
  if (lost.length === 0) return { lost: 0, returned: 0 };
  const back = await query<{ phase: string }>(
    `UPDATE gateway.operation o SET phase = CASE WHEN r.withdrawn THEN 'cancelled' ELSE 'accepted' END, updated_at = now()
     FROM gateway.transaction_operation r
     WHERE r.transaction_id = ANY($1::bigint[]) AND o.ordinal = r.operation_ordinal AND o.phase = 'signed' RETURNING o.phase`,
    [lost.map((one) => one.id)],
  );
  return { lost: lost.length, returned: back.filter(({ phase }) => phase === 'accepted').length };
}
