import { Transaction } from 'ethers';
import { inTransaction, type Query, rowsOf } from '../../../database/src/transaction.js';
import { toHex } from '../../../platform/src/bytes.js';
import type { Signer } from '../keys/signer.js';
import type { LegacyTransaction } from '../keys/transaction.js';
import { broadcast } from './broadcast.js';
import type { TransactionState } from './operation.types.js';
import {
  type FoundSigner,
  findSigner,
  type InSameCommit,
  keyOf,
  type OperatorContext,
  OperatorRefusal,
} from './operator.signer.js';
import type { Attempt } from './signing.js';
import type { SubmissionNetwork } from './submission.network.js';

export interface ReplacementRequest {
  signerId: number;
  nonce: bigint;
  /** `bump`: the same content at a higher price. `noop`: nothing, to the signer's own address. */
  kind: 'bump' | 'noop';
  /** Wei; left out: as little more as the node's pool asks. */
  gasPrice?: bigint;
  /** Ids of operations in the transaction that end cancelled, instead of riding again, should it end without effect. */
  withdraw?: readonly string[];
  inSameCommit: InSameCommit;
}

export interface Replaced {
  /** False when the attempt asked for was out already: the same bytes were sent once more. */
  made: boolean;
}

interface StoredAttempt extends Attempt {
  number: number;
  kind: 'first' | 'bump' | 'noop';
  gas_price: string;
}

interface OpenTransaction {
  id: string;
  nonce: bigint;
  /** Newest first; at least one. */
  attempts: StoredAttempt[];
}

/** Gas of a transaction that carries nothing. */
const NOOP_GAS = 21_000n;

/**
 * Gives a nonce other bytes to be mined with: a recorded attempt, stored before it is sent. The earlier attempts stay what they are and
 * may still be mined: the mirror tells which one was. Two who ask at once: one makes the attempt, the other is told so.
 * @throws OperatorRefusal with nothing changed; RpcError when the node can't be asked
 */
export async function replace(context: OperatorContext, request: ReplacementRequest): Promise<Replaced> {
  const found = await findSigner(context, request.signerId);
  try {
    return await replaceOnce(context, found, request);
  } catch (error) {
    // Another NOOP came in between: it is what was asked for.
    if (request.kind !== 'noop' || !(error instanceof OperatorRefusal) || error.code !== 'CHANGED_MEANWHILE')
      throw error;
    return replaceOnce(context, found, request);
  }
}

async function replaceOnce(
  context: OperatorContext,
  found: FoundSigner,
  request: ReplacementRequest,
): Promise<Replaced> {
  const { id, network } = found;
  const signer = keyOf(found);
  const open = await openTransaction(context, network, id, request.nonce);
  const standing = standingAttempt(open, request);
  // Signed before any lock is taken, as a signer may be far away; what isn't stored never leaves.
  const made = standing === undefined ? await makeAttempt(network, signer, open, request) : undefined;
  await inTransaction(context.dataSource, async (query) => {
    await query('SELECT FROM gateway.signer WHERE id = $1 FOR UPDATE', [id]);
    await refuseIfChanged(query, network, open);
    await withdraw(query, open, request.withdraw ?? []);
    if (made !== undefined) {
      await query(
        `INSERT INTO gateway.attempt (transaction_id, number, kind, raw, hash, gas_price) VALUES ($1, $2, $3, $4, $5, $6)`,
        [open.id, open.attempts[0]!.number + 1, request.kind, made.raw, made.hash, String(made.gasPrice)],
      );
    }
    const { hash, gasPrice } = made ?? { hash: standing!.hash, gasPrice: standing!.gas_price };
    await request.inSameCommit(query, {
      hash: toHex(hash),
      gasPrice: String(gasPrice),
      made: made !== undefined,
      ...(request.withdraw?.length ? { withdrawn: request.withdraw } : {}),
    });
  });
  context.failpoint('after-attempt-commit');
  await send(context, network, signer, made ?? standing!);
  return { made: made !== undefined };
}

/** @throws OperatorRefusal unless the nonce is bound to bytes of which none is in a block */
async function openTransaction(
  context: OperatorContext,
  network: SubmissionNetwork,
  signerId: number,
  nonce: bigint,
): Promise<OpenTransaction> {
  const rows = await rowsOf<StoredAttempt & { id: string; state: TransactionState; mined: boolean }>(
    context.dataSource,
    `SELECT t.id, t.state, a.number, a.kind, a.raw, a.hash, a.gas_price, EXISTS (
         SELECT FROM mirror.inclusion i WHERE i.network = $3 AND i.transaction_hash = a.hash) AS mined
     FROM gateway.transaction t JOIN gateway.attempt a ON a.transaction_id = t.id
     WHERE t.signer_id = $1 AND t.nonce = $2 ORDER BY a.number DESC`,
    [signerId, String(nonce), network.name],
  );
  const [first] = rows;
  if (first === undefined) {
    throw new OperatorRefusal(
      'UNKNOWN_NONCE',
      'The signer has no bytes for this nonce: look at its open transactions.',
    );
  }
  if ((first.state !== 'signed' && first.state !== 'submitted') || rows.some(({ mined }) => mined))
    throw alreadyMined();
  return { id: first.id, nonce, attempts: rows };
}

function alreadyMined(): OperatorRefusal {
  return new OperatorRefusal(
    'ALREADY_MINED',
    'The nonce is used on chain; nothing can take its place. Read the transaction again to see which bytes were mined.',
  );
}

/**
 * The attempt that is what was asked for already, if one is. A NOOP isn't outbid by the content it was to replace.
 * @throws OperatorRefusal NOOP_IS_OUT
 */
function standingAttempt(open: OpenTransaction, { kind, gasPrice }: ReplacementRequest): StoredAttempt | undefined {
  const newest = open.attempts[0]!;
  if (kind === 'bump' && newest.kind === 'noop') {
    throw new OperatorRefusal(
      'NOOP_IS_OUT',
      'A NOOP was sent for this nonce: wait for what is mined, or ask for the NOOP again with a higher gasPrice.',
    );
  }
  if (newest.kind !== kind) return undefined;
  const price = BigInt(newest.gas_price);
  return gasPrice === price || (kind === 'noop' && gasPrice === undefined) ? newest : undefined;
}

/** @throws OperatorRefusal when the node would not take it */
async function makeAttempt(
  network: SubmissionNetwork,
  signer: Signer,
  open: OpenTransaction,
  { kind, gasPrice }: ReplacementRequest,
): Promise<Attempt & { gasPrice: bigint }> {
  const { reader } = network;
  if ((await reader.transactionCount(signer.address, 'latest')) > open.nonce) throw alreadyMined();
  const held = (await reader.known(open.attempts.map(({ hash }) => hash))).includes('pending');
  if (kind === 'bump' && !held) {
    throw new OperatorRefusal(
      'NOTHING_TO_REPLACE',
      "The transaction isn't in the node's pool, so no price is in its way: the sweeper sends the stored bytes again.",
    );
  }
  const content = kind === 'noop' ? noop(signer) : contentOf(open.attempts.at(-1)!);
  const price = await priceOf(network, signer, { open, held, gasLimit: content.gasLimit, asked: gasPrice });
  const transaction = { ...content, chainId: network.chainId, nonce: open.nonce, gasPrice: price };
  return { ...(await signer.sign(transaction)), gasPrice: price };
}

type Content = Pick<LegacyTransaction, 'to' | 'data' | 'gasLimit'>;

function noop(signer: Signer): Content {
  return { to: signer.address, data: Buffer.alloc(0), gasLimit: NOOP_GAS };
}

function contentOf({ raw }: Attempt): Content {
  const { to, data, gasLimit } = Transaction.from(toHex(raw));
  return {
    to: to === null ? undefined : Buffer.from(to.slice(2), 'hex'),
    data: Buffer.from(data.slice(2), 'hex'),
    gasLimit,
  };
}

interface Pricing {
  open: OpenTransaction;
  /** The node's pool has one of the attempts. */
  held: boolean;
  gasLimit: bigint;
  asked: bigint | undefined;
}

/**
 * Wei a unit of gas. What is in the pool gives way to a higher price only, and a price must be covered by the signer's balance: where
 * transactions are free nobody has one. What the pool doesn't hold needs no outbidding.
 */
async function priceOf(
  network: SubmissionNetwork,
  signer: Signer,
  { open, held, gasLimit, asked }: Pricing,
): Promise<bigint> {
  const highest = open.attempts.reduce((most, { gas_price }) => larger(most, BigInt(gas_price)), 0n);
  const least = raisedPrice(highest);
  if (held && asked !== undefined && asked < least) {
    throw new OperatorRefusal(
      'PRICE_TOO_LOW',
      `The node takes no replacement for less than ${least} wei a unit of gas.`,
    );
  }
  const affordable = (await network.reader.balance(signer.address)) / gasLimit;
  const wanted = asked ?? least;
  if (wanted <= affordable) return wanted;
  if (held || asked !== undefined) {
    throw new OperatorRefusal(
      'CANNOT_PAY',
      `The signer can pay ${affordable} wei a unit of gas and needs ${wanted}: fund it, or let the node drop the transaction first ` +
        '(see the runbook page transaction-unmined).',
    );
  }
  // No more than before either: an old price may be more than is left.
  if (affordable < highest) return affordable;
  return highest;
}

/** The lowest price for which a node replaces a transaction of `price`: a tenth more, and more than nothing. Wei. */
export function raisedPrice(price: bigint): bigint {
  return larger((price * 110n + 99n) / 100n, price + 1n);
}

function larger(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}

/** Under the signer's lock: is everything still as it was when the attempt was made? */
async function refuseIfChanged(query: Query, network: SubmissionNetwork, open: OpenTransaction): Promise<void> {
  const [now] = await query<{ state: TransactionState; newest: number; mined: boolean }>(
    `SELECT t.state, (SELECT max(number) FROM gateway.attempt WHERE transaction_id = t.id) AS newest, EXISTS (
         SELECT FROM gateway.attempt a JOIN mirror.inclusion i ON i.network = $2 AND i.transaction_hash = a.hash
         WHERE a.transaction_id = t.id) AS mined
     FROM gateway.transaction t WHERE t.id = $1`,
    [open.id, network.name],
  );
  if (now === undefined || now.mined || (now.state !== 'signed' && now.state !== 'submitted')) throw alreadyMined();
  if (now.newest !== open.attempts[0]!.number) {
    throw new OperatorRefusal(
      'CHANGED_MEANWHILE',
      'Somebody else replaced the transaction at the same moment: read it again and decide anew.',
    );
  }
}

/** @throws OperatorRefusal NOT_RIDING */
async function withdraw(query: Query, open: OpenTransaction, operations: readonly string[]): Promise<void> {
  if (operations.length === 0) return;
  const marked = await query(
    `UPDATE gateway.transaction_operation r SET withdrawn = true FROM gateway.operation o
     WHERE r.transaction_id = $1 AND o.ordinal = r.operation_ordinal AND o.id = ANY($2) RETURNING o.id`,
    [open.id, operations],
  );
  if (marked.length !== new Set(operations).size) {
    throw new OperatorRefusal('NOT_RIDING', 'Not all of the operations to withdraw ride in this transaction.');
  }
}

/** The attempt is stored: whatever happens now, the sweeper sends it. */
async function send(
  { dataSource, logger, failpoint }: OperatorContext,
  network: SubmissionNetwork,
  signer: Signer,
  attempt: Attempt,
): Promise<void> {
  try {
    await broadcast(dataSource, network, signer, [attempt], logger, failpoint);
  } catch (error) {
    logger.warn({ err: error, network: network.name }, 'A replacement could not be sent; the sweeper sends it.');
  }
}
