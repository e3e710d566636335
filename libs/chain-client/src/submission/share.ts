import type { Query } from '../../../database/src/transaction.js';

/**
 * Records with an act in a transaction of another signer that is in no block yet. Which signer a record's acts go through follows
 * from its id and from who is active, so it changes when a signer is paused or added: then the record's next act waits for the
 * block of the one before, or it might overtake it.
 */
export async function recordsHeldElsewhere(query: Query, network: string, signerId: number): Promise<Set<string>> {
  const rows = await query<{ record_id: Buffer }>(
    `SELECT DISTINCT o.record_id
     FROM gateway.signer s
     JOIN gateway.transaction t ON t.signer_id = s.id AND t.state IN ('assigned', 'signed', 'submitted')
     JOIN gateway.transaction_operation r ON r.transaction_id = t.id
     JOIN gateway.operation o ON o.ordinal = r.operation_ordinal
     WHERE s.network = $1 AND s.id <> $2 AND NOT EXISTS (
       SELECT FROM gateway.attempt a JOIN mirror.inclusion i ON i.network = $1 AND i.transaction_hash = a.hash
       WHERE a.transaction_id = t.id)`,
    [network, signerId],
  );
  return new Set(rows.map(({ record_id: id }) => keyOfRecord(id)));
}

// Any constant: whoever shares the acts of a network waits for this lock.
const SHARE_LOCK = 4_150_002;

/**
 * Until this transaction ends, nobody else takes acts of the network or gives them back: else, between the look at what waits and the
 * look at what others have out, an act could go from the one to the other and be seen in neither.
 */
export async function lockShare(query: Query, network: string): Promise<void> {
  await query('SELECT pg_advisory_xact_lock($1, hashtext($2))', [SHARE_LOCK, network]);
}

/**
 * For signer `s`: transactions out with another signer (whose records' acts may have to wait for it), and its own that
 * are assigned and have no bytes yet. While there are any, acts are accepted first and taken with care.
 */
export const FIRST_OTHERS = `
  SELECT FROM gateway.signer o JOIN gateway.transaction t ON t.signer_id = o.id AND t.state IN ('assigned', 'signed', 'submitted')
  WHERE o.network = s.network AND (o.id <> s.id OR t.state = 'assigned')`;

export function keyOfRecord(recordId: Buffer): string {
  return recordId.toString('latin1');
}
