import { type OperatorContext, OperatorRefusal } from './operator.signer.js';
import { raisedPrice, replace } from './replacement.js';
import type { SubmissionNetwork } from './submission.network.js';

export interface PooledTransaction {
  signerId: number;
  nonce: bigint;
  kind: 'first' | 'bump' | 'noop';
  /** Wei, of the newest attempt. */
  gasPrice: bigint;
}

/**
 * Offers more for a transaction that lies in the node's pool while blocks ask more than it offers (EIP-1559 base fee): such a one isn't mined
 * however long it waits. Twice of what is asked, as the next blocks may ask more. Where transactions are free nothing is asked.
 * @returns why it could not be paid; undefined when it was done, by whomever, or need not be
 */
export async function outbid(
  context: OperatorContext,
  network: SubmissionNetwork,
  { signerId, nonce, kind, gasPrice }: PooledTransaction,
): Promise<OperatorRefusal | undefined> {
  const asked = await network.reader.nextBaseFee();
  if (gasPrice >= asked) return undefined;
  const least = raisedPrice(gasPrice);
  const offered = asked * 2n > least ? asked * 2n : least;
  try {
    const replacement = kind === 'noop' ? 'noop' : 'bump';
    await replace(context, {
      ...{ signerId, nonce, kind: replacement, gasPrice: offered },
      inSameCommit: async () => undefined,
    });
    const prices = { offered: String(offered), asked: String(asked) };
    context.logger.info(
      { network: network.name, nonce: String(nonce), ...prices },
      'More was offered for a transaction.',
    );
    return undefined;
  } catch (error) {
    if (!(error instanceof OperatorRefusal)) throw error;
    return error.code === 'CANNOT_PAY' ? error : undefined;
  }
}
