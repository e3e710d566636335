import type { DataSource } from 'typeorm';
import { binaryArray } from '../../../database/src/binary-array.js';
import { rowsOf } from '../../../database/src/transaction.js';
import type { Logger } from '../../../platform/src/logger.js';
import type { Signer } from '../keys/signer.js';
import type { RpcError } from '../rpc/rpc.error.js';
import type { RpcOutcome } from '../rpc/rpc.types.js';
import type { Failpoint } from './failpoint.js';
import type { Attempt } from './signing.js';
import type { SubmissionNetwork } from './submission.network.js';

/**
 * What the node's answer to stored bytes means. `taken`: it has them. `undecided`: nothing is known, the same bytes are sent again
 * later, or the mirror finds them. `refused`: these bytes can't enter a block as things stand (gas limit, funds).
 */
export type Verdict = 'taken' | 'undecided' | 'refused';

const TAKEN = /already known|already imported|known transaction/i;
const REFUSED =
  /intrinsic gas|exceeds block gas limit|insufficient funds|oversized data|invalid sender|only replay-protected|gas limit reached|exceeds maximum|out of bounds/i;

export function verdictOf(outcome: RpcOutcome<string>): Verdict {
  if (outcome.error === undefined) return 'taken';
  const error: RpcError = outcome.error;
  if (!error.answered) return 'undecided';
  if (TAKEN.test(error.message)) return 'taken';
  // Among the rest: nonce too low (it may be ours that mined), replacement underpriced (another attempt of ours), pool full.
  return REFUSED.test(error.message) ? 'refused' : 'undecided';
}

// Losing this note is harmless (the hash is stored, the mirror finds it), so it needn't wait for the disk.
const NOTE_SENT = {
  name: 'broadcast-note',
  text: `WITH answer AS (
      SELECT a.* FROM unnest($1::bytea[], $2::text[], $3::boolean[]) AS a(hash, said, taken),
        (SELECT set_config('synchronous_commit', 'off', true)) AS relaxed
    ), noted AS (
      UPDATE gateway.attempt SET sent_at = now(), sends = sends + 1, last_answer = answer.said
      FROM answer WHERE attempt.hash = answer.hash RETURNING attempt.transaction_id, answer.taken
    )
    UPDATE gateway.transaction SET state = 'submitted'
    FROM noted WHERE transaction.id = noted.transaction_id AND noted.taken AND transaction.state = 'signed'`,
};

/**
 * Step 3: hands stored bytes to the node, in the order given, and records its answers. Whatever those are, the bytes stay what they
 * are; only a transaction the node will never take stops its signer, as everything behind it would wait for ever.
 */
export async function broadcast(
  dataSource: DataSource,
  network: SubmissionNetwork,
  signer: Pick<Signer, 'address'>,
  attempts: readonly Attempt[],
  logger: Logger,
  failpoint: Failpoint,
): Promise<void> {
  const outcomes = await network.reader.sendRaw(attempts.map(({ raw }) => raw));
  failpoint('after-send');
  const verdicts = outcomes.map(verdictOf);
  const answers = outcomes.map(({ error }) => (error === undefined ? null : error.message.slice(0, 200)));
  await rowsOf(dataSource, NOTE_SENT, [
    binaryArray(
      'bytea',
      attempts.map(({ hash }) => hash),
    ),
    binaryArray('text', answers),
    binaryArray(
      'bool',
      verdicts.map((verdict) => verdict === 'taken'),
    ),
  ]);
  failpoint('after-sent-recorded');
  const troubled = verdicts.findIndex((verdict) => verdict !== 'taken');
  if (troubled === -1) return;
  const details = { network: network.name, answer: answers[troubled], of: attempts.length };
  logger.warn(details, 'The node did not take a transaction; its bytes are kept and sent again.');
  if (verdicts.includes('refused')) {
    const answer = answers[verdicts.indexOf('refused')];
    await pauseSigner(dataSource, network, signer, `The node refuses stored bytes: ${answer}`, logger);
  }
}

/** Stops assigning nonces of one signer; what is stored goes on being sent. The sweeper resumes it when the way is clear. */
export async function pauseSigner(
  dataSource: DataSource,
  network: SubmissionNetwork,
  signer: Pick<Signer, 'address'>,
  reason: string,
  logger: Logger,
): Promise<void> {
  await dataSource.query(
    `UPDATE gateway.signer SET state = 'paused', reason = $3, fence = fence + 1
     WHERE network = $1 AND address = $2 AND state = 'active'`,
    [network.name, signer.address, reason],
  );
  logger.error({ alarm: true, runbook: 'signer-paused', network: network.name, reason }, 'A signer was paused.');
}
