import type { DataSource } from 'typeorm';
import { type Query, rowsOf } from '../../../database/src/transaction.js';
import type { Logger } from '../../../platform/src/logger.js';
import type { Signer } from '../keys/signer.js';
import type { Failpoint } from './failpoint.js';
import type { SubmissionNetwork } from './submission.network.js';

/** What an operator's tools work with. */
export interface OperatorContext {
  dataSource: DataSource;
  networks: readonly SubmissionNetwork[];
  logger: Logger;
  failpoint: Failpoint;
  /** Acts may be waiting on this network. */
  ring(network: string): void;
}

/** Writes the record of what is done in the commit that does it. */
export type InSameCommit = (query: Query, facts: Record<string, unknown>) => Promise<void>;

export type RefusalCode =
  | 'UNKNOWN_SIGNER'
  | 'UNKNOWN_NONCE'
  | 'NOT_SERVED'
  | 'ALREADY_MINED'
  | 'CHANGED_MEANWHILE'
  | 'NOOP_IS_OUT'
  | 'NOTHING_TO_REPLACE'
  | 'PRICE_TOO_LOW'
  | 'CANNOT_PAY'
  | 'NOT_RIDING'
  | 'NOT_QUARANTINED'
  | 'NODE_BEHIND'
  | 'MIRROR_BEHIND'
  | 'NOT_FINAL'
  | 'POOL_HOLDS_FOREIGN';

/** What an operator asked for doesn't fit as things stand; nothing was changed. The message says what to do. */
export class OperatorRefusal extends Error {
  constructor(
    readonly code: RefusalCode,
    message: string,
  ) {
    super(message);
    this.name = 'OperatorRefusal';
  }
}

export interface FoundSigner {
  id: number;
  state: 'active' | 'paused' | 'quarantined';
  fence: string;
  network: SubmissionNetwork;
  signer: Signer;
}

/** @throws OperatorRefusal UNKNOWN_SIGNER; NOT_SERVED where this process has no key for it */
export async function findSigner(context: OperatorContext, id: number): Promise<FoundSigner> {
  const [row] = await rowsOf<{ network: string; address: Buffer; state: FoundSigner['state']; fence: string }>(
    context.dataSource,
    'SELECT network, address, state, fence FROM gateway.signer WHERE id = $1',
    [id],
  );
  if (row === undefined) throw new OperatorRefusal('UNKNOWN_SIGNER', 'There is no signer of this number.');
  const network = context.networks.find(({ name }) => name === row.network);
  const signer = network?.signers.find(({ address }) => address.equals(row.address));
  if (network === undefined || signer === undefined) {
    throw new OperatorRefusal(
      'NOT_SERVED',
      'This gateway has no key for the signer: ask one whose configuration has it, or put the keystore back.',
    );
  }
  return { id, state: row.state, fence: row.fence, network, signer };
}
