import { setTimeout as sleep } from 'node:timers/promises';
import type { DataSource } from 'typeorm';
import { inTransaction, type Query, rowsOf } from '../../../database/src/transaction.js';
import type { Logger } from '../../../platform/src/logger.js';
import { SigningError } from '../keys/remote.signer.js';
import type { RemoteSigner, Signer } from '../keys/signer.js';
import {
  type Assigned,
  assignedOf,
  LEASE_MS,
  type Lease,
  releaseAssignments,
  renewLease,
  returnLease,
  storeAssignment,
  storeSigned,
  takeLease,
} from './assignment.js';
import type { Failpoint } from './failpoint.js';
import { pack } from './packing.js';
import {
  failOversized,
  lookOut,
  nothing,
  type Outgoing,
  type Outlook,
  type SignerState,
  type SignResult,
  takeWaiting,
} from './signing.js';
import { packLimits, type SubmissionNetwork } from './submission.network.js';

export interface ExternalSigningOptions {
  dataSource: DataSource;
  logger: Logger;
  failpoint: Failpoint;
}

interface Begun {
  lease: Lease;
  assigned: Assigned[];
  /** Acts stay behind that wait for room, or for another signer's transaction. */
  blocked: boolean;
}

const ASK_AGAIN_MS = 100;
const SAY_AGAIN_MS = 30_000;

/**
 * Step 2 of the write path for a signer outside this process, which may take seconds, refuse, or be away. Three parts, so that no
 * row is locked meanwhile: commit which acts ride under which nonces; have them signed; commit the bytes. Nothing is sent before
 * the last, so signing again after a crash is safe, and it is what was assigned that is signed first, before anything else is.
 */
export class ExternalSigning {
  private readonly said = new Map<string, { message: string; at: number }>();

  constructor(private readonly options: ExternalSigningOptions) {}

  /** As `signWaiting` does it in one commit. A signer in trouble gives an empty result; its acts stay with it. */
  async signWaiting(network: SubmissionNetwork, signer: RemoteSigner): Promise<SignResult> {
    const outlook = await lookOut(this.options.dataSource, network, signer);
    if (outlook === undefined) return nothing;
    if (!outlook.unfinished) {
      if (!outlook.waiting) return nothing;
      const limits = packLimits(network, outlook.in_flight, outlook.slots);
      if (limits.maxTransactions === 0 || limits.maxSlots === 0) return { ...nothing, blocked: true };
    }
    const begun = await this.begin(network, signer, outlook);
    if (begun === undefined) return nothing;
    if (begun.assigned.length === 0) return { ...nothing, blocked: begun.blocked };
    this.options.failpoint('after-assignment-commit');
    return this.finish(network, signer, begun);
  }

  /**
   * Once a sweep: what was assigned and is nobody's work in hand. A signer that isn't active gives its acts back; a local one (its
   * key was brought home) signs them.
   * @returns true when a remote signer is to be asked again
   */
  async sweep(network: SubmissionNetwork): Promise<boolean> {
    const { dataSource, logger } = this.options;
    const found = await rowsOf<{ id: number; address: Buffer; state: string }>(
      dataSource,
      `SELECT s.id, s.address, s.state FROM gateway.signer s
       WHERE s.network = $1 AND (s.lease_until IS NULL OR s.lease_until < now() OR s.state <> 'active')
         AND EXISTS (SELECT FROM gateway.transaction t WHERE t.signer_id = s.id AND t.state = 'assigned')`,
      [network.name],
    );
    let ring = false;
    for (const { id, address, state } of found) {
      const signer = network.signers.find((one) => one.address.equals(address));
      if (signer === undefined || state !== 'active') {
        const acts = await inTransaction(dataSource, async (query) => {
          await query('SELECT FROM gateway.signer WHERE id = $1 FOR UPDATE', [id]);
          return releaseAssignments(query, network, id);
        });
        logger.warn({ network: network.name, signer: id, acts }, 'Acts of a signer that is not asked wait again.');
        ring ||= acts > 0;
      } else if (signer.remote) {
        ring = true;
      } else {
        const begun = await this.begin(network, signer, undefined);
        if (begun !== undefined) await this.finish(network, signer, begun);
      }
    }
    return ring;
  }

  /** Takes the lease, and what is assigned; assigns what waits when nothing is. Undefined when the signer isn't to be asked now. */
  private async begin(
    network: SubmissionNetwork,
    signer: Signer,
    outlook: Outlook | undefined,
  ): Promise<Begun | undefined> {
    for (const end = Date.now() + LEASE_MS + ASK_AGAIN_MS; ; ) {
      const begun = await inTransaction(this.options.dataSource, async (query) => {
        const [state] = await query<SignerState & { leased: boolean | null }>(
          `SELECT id, next_nonce, fence, state, lease_until > now() AS leased FROM gateway.signer
           WHERE network = $1 AND address = $2 FOR UPDATE`,
          [network.name, signer.address],
        );
        if (state?.state !== 'active') return undefined;
        if (state.leased) return 'leased';
        const blocked = await this.assign(query, network, state, outlook);
        const assigned = await assignedOf(query, network, state.id);
        if (assigned.length === 0) return { lease: { signerId: state.id, fence: state.fence }, assigned, blocked };
        return { lease: await takeLease(query, state.id), assigned, blocked };
      });
      if (begun !== 'leased') return begun;
      // Another process is having it sign. Its next batch may be the one that this ring was for.
      if (outlook === undefined || Date.now() >= end) return undefined;
      await sleep(ASK_AGAIN_MS);
    }
  }

  /** @returns whether acts stay behind */
  private async assign(
    query: Query,
    network: SubmissionNetwork,
    state: SignerState,
    outlook: Outlook | undefined,
  ): Promise<boolean> {
    if (outlook === undefined || outlook.unfinished || (await hasAssigned(query, state.id))) return false;
    const { acts: waiting, held } = await takeWaiting(query, network, state, outlook);
    const { transactions, oversized } = pack(waiting, packLimits(network, outlook.in_flight, outlook.slots));
    if (oversized.length > 0) await failOversized(query, oversized);
    if (transactions.length > 0) await storeAssignment(query, state.id, BigInt(state.next_nonce), transactions);
    const taken = transactions.reduce((sum, { length }) => sum + length, oversized.length);
    return held || taken < waiting.length;
  }

  /** Has it sign, all at once; stores the bytes up to the first that failed, so that no nonce with bytes lies above one without. */
  private async finish(network: SubmissionNetwork, signer: Signer, begun: Begun): Promise<SignResult> {
    const { dataSource, logger, failpoint } = this.options;
    const { lease, assigned, blocked } = begun;
    const alive = setInterval(() => void renewLease(dataSource, lease).catch(() => undefined), LEASE_MS / 3);
    const outcomes = await Promise.allSettled(assigned.map(async ({ unsigned }) => signer.sign(unsigned))).finally(() =>
      clearInterval(alive),
    );
    const signed: { transactionId: string; attempt: Outgoing; acts: number }[] = [];
    let failure: unknown;
    for (const [index, outcome] of outcomes.entries()) {
      if (outcome.status === 'rejected') {
        failure = outcome.reason;
        break;
      }
      const { transactionId, acts, unsigned } = assigned[index]!;
      signed.push({ transactionId, acts, attempt: { ...outcome.value, nonce: unsigned.nonce } });
    }
    const trouble = failure === undefined ? undefined : reasonOf(failure);
    if (signed.length > 0) {
      await storeSigned(dataSource, lease, signed, trouble, () => failpoint('before-attempt-commit'));
    } else if (trouble !== undefined) {
      await returnLease(dataSource, lease, trouble);
    }

    const key = `${network.name} ${signer.address.toString('hex')}`;
    if (trouble !== undefined) this.complain(key, network, failure, trouble);
    else if (this.said.delete(key)) logger.info({ network: network.name }, 'The signer signs again.');
    return {
      attempts: signed.map(({ attempt }) => attempt),
      acts: signed.reduce((sum, { acts }) => sum + acts, 0),
      more: trouble === undefined,
      blocked,
    };
  }

  /** Once, and again when it says something else or half a minute later: it is asked every second. */
  private complain(key: string, network: SubmissionNetwork, err: unknown, message: string): void {
    const before = this.said.get(key);
    if (before?.message === message && Date.now() - before.at < SAY_AGAIN_MS) return;
    this.said.set(key, { message, at: Date.now() });
    const wrongBytes = err instanceof SigningError && err.wrongBytes;
    this.options.logger.error(
      { err, network: network.name, ...(wrongBytes ? { alarm: true, runbook: 'signer-not-signing' } : {}) },
      wrongBytes
        ? 'A signer answered something else than it was asked to sign: find out who runs it. Nothing of it is used.'
        : 'A signer does not sign; its acts wait and it is asked again. See that it runs, is unlocked and may use the account.',
    );
  }
}

async function hasAssigned(query: Query, signerId: number): Promise<boolean> {
  const rows = await query(`SELECT FROM gateway.transaction WHERE signer_id = $1 AND state = 'assigned' LIMIT 1`, [
    signerId,
  ]);
  return rows.length > 0;
}

function reasonOf(failure: unknown): string {
  return failure instanceof SigningError ? failure.message : 'The signer failed; the log has the cause.';
}
