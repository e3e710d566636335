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
  address: Buffer;
  state: 'active' | 'paused' | 'quarantined';
  fence: string;
  network: SubmissionNetwork;
}

/** @throws OperatorRefusal UNKNOWN_SIGNER; NOT_SERVED where this process doesn't know its network */
export async function findSigner(context: OperatorContext, id: number): Promise<FoundSigner> {
  const [row] = await rowsOf<{ network: string; address: Buffer; state: FoundSigner['state']; fence: string }>(
    context.dataSource,
    'SELECT network, address, state, fence FROM gateway.signer WHERE id = $1',
    [id],
  );
  if (row === undefined) throw new OperatorRefusal('UNKNOWN_SIGNER', 'There is no signer of this number.');
  const network = context.networks.find(({ name }) => name === row.network);
  if (network === undefined)
    throw new OperatorRefusal('NOT_SERVED', "This gateway is not configured for the signer's network.");
  return { ...row, id, network };
}

/** @throws OperatorRefusal NOT_SERVED where this process has no key for it */
export function keyOf({ network, address }: FoundSigner): Signer {
  const signer = network.signers.find((one) => one.address.equals(address));
  if (signer !== undefined) return signer;
  throw new OperatorRefusal(
    'NOT_SERVED',
    'This gateway has no key for the signer: ask one whose configuration has it, or put the keystore back.',
  );
}
