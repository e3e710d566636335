import type { DataSource } from 'typeorm';
import { rowsOf } from '../../../database/src/transaction.js';
import type { Logger } from '../../../platform/src/logger.js';
import type { Signer } from '../keys/signer.js';
import { broadcast } from './broadcast.js';
import { ExternalSigning } from './external-signing.js';
import type { Failpoint } from './failpoint.js';
import { outbid } from './outbid.js';
import { reconcile } from './reconcile.js';
import { alignSigners, resumeSigners } from './signer.state.js';
import type { SubmissionNetwork } from './submission.network.js';

export interface SweeperOptions {
  dataSource: DataSource;
  networks: SubmissionNetwork[];
  logger: Logger;
  failpoint: Failpoint;
  /** Default 1,000 ms. */
  intervalMs?: number;
  /** Acts are waiting on this network. */
  ring(network: string): void;
  /** Transactions that the node had lost are sent again. */
  onRescue?(network: string, transactions: number): void;
}

const LONG_WAIT_SECONDS = 5;
const EXPLAIN_AGAIN_MS = 30_000;

/** A signer of the table; it need not be configured any more, as stored bytes need no key. */
type Sender = Pick<Signer, 'address'>;

interface OpenAttempt {
  signer_id: number;
  nonce: string;
  kind: 'first' | 'bump' | 'noop';
  gas_price: string;
  hash: Buffer;
  raw: Buffer;
  due: boolean;
}

/** A nonce that is in no block yet: its attempts, newest first. */
interface OpenTransaction {
  nonce: string;
  attempts: OpenAttempt[];
}

/** Step 5: finds whatever was missed, by looking at the tables and at nothing else, so that no crash and no lost message matters. */
export class Sweeper {
  private readonly timers = new Map<string, NodeJS.Timeout>();
  private readonly running = new Map<string, Promise<void>>();
  private stopped = false;
  private readonly unreachable = new Set<string>();
  private readonly explained = new Map<string, number>();
  /** Nonces, by signer, that the last sweep found used by bytes the mirror doesn't know. */
  private readonly suspects = new Map<string, string>();

  private readonly external: ExternalSigning;

  constructor(private readonly options: SweeperOptions) {
    this.external = new ExternalSigning(options);
  }

  /** Each network at its own pace: a node that doesn't answer holds up no other network's sweep. */
  start(): void {
    for (const network of this.options.networks) this.later(network);
  }

  async stop(): Promise<void> {
    this.stopped = true;
    for (const timer of this.timers.values()) clearTimeout(timer);
    await Promise.all(this.running.values());
  }

  /** One round over all networks; never rejects. @param atOnce looks for lost transactions however young they are */
  async sweep(atOnce = false): Promise<void> {
    await Promise.all(this.options.networks.map((network) => this.once(network, atOnce)));
  }

  private later(network: SubmissionNetwork): void {
    const sweep = () => void this.once(network, false).then(() => !this.stopped && this.later(network));
    this.timers.set(network.name, setTimeout(sweep, this.options.intervalMs ?? 1_000));
  }

  private once(network: SubmissionNetwork, atOnce: boolean): Promise<void> {
    let run = this.running.get(network.name);
    if (run === undefined) {
      run = this.sweepNetwork(network, atOnce).finally(() => this.running.delete(network.name));
      this.running.set(network.name, run);
    }
    return run;
  }

  private async sweepNetwork(network: SubmissionNetwork, atOnce: boolean): Promise<void> {
    const { dataSource, logger } = this.options;
    try {
      await reconcile(dataSource, network, logger);
      await this.failExpired(network);
      await this.checkNode(network);
      for (const signer of await signersOf(dataSource, network)) await this.resend(network, signer, atOnce);
      await resumeSigners(dataSource, network, logger);
      this.unreachable.delete(network.name);
    } catch (error) {
      // Once per outage: a node or database that is away for an hour fills no log.
      if (!this.unreachable.has(network.name)) logger.error({ err: error, network: network.name }, 'A sweep failed.');
      this.unreachable.add(network.name);
    }
    await this.ringForWaiting(network).catch(() => undefined);
  }

  private async ringForWaiting(network: SubmissionNetwork): Promise<void> {
    const [head] = await rowsOf<{ waited: number }>(
      this.options.dataSource,
      `SELECT extract(epoch FROM now() - created_at)::float8 AS waited FROM gateway.operation
       WHERE network = $1 AND phase = 'accepted' ORDER BY priority DESC, ordinal LIMIT 1`,
      [network.name],
    );
    if (head === undefined) return;
    this.options.ring(network.name);
    if (head.waited >= LONG_WAIT_SECONDS) await this.explain(network, head.waited);
  }

  /** Says what keeps acts from being signed: whoever runs this looks for the reason in the log first. */
  private async explain(network: SubmissionNetwork, waited: number): Promise<void> {
    if (!this.speaksAgain(network.name)) return;
    const signers = await rowsOf<{ state: string; reason: string | null; out: number }>(
      this.options.dataSource,
      `SELECT s.state, s.reason, (SELECT count(*)::int FROM gateway.transaction t
         WHERE t.signer_id = s.id AND t.state IN ('assigned', 'signed', 'submitted')) AS out
       FROM gateway.signer s WHERE s.network = $1 AND s.address = ANY($2)`,
      [network.name, network.signers.map(({ address }) => address)],
    );
    const { name, aligned, assigning } = network;
    this.options.logger.warn(
      { network: name, waitedSeconds: Math.round(waited), aligned, assigning, signers },
      'Acts have been waiting for a while to be signed.',
    );
  }

  /** The same is said once in a while, not every second. */
  private speaksAgain(about: string): boolean {
    if (Date.now() - (this.explained.get(about) ?? 0) < EXPLAIN_AGAIN_MS) return false;
    this.explained.set(about, Date.now());
    return true;
  }

  /** An act whose deadline lies before the last final block would only be refused. Not earlier: until then it may still ride. */
  private async failExpired(network: SubmissionNetwork): Promise<void> {
    await this.options.dataSource.query(
      `UPDATE gateway.operation o SET phase = 'failed', failure = '{"code":"DEADLINE_PASSED"}', updated_at = now()
       FROM mirror.cursor c JOIN mirror.block b ON b.network = c.network AND b.number = c.final_number
       WHERE c.network = $1 AND o.network = $1 AND o.phase = 'accepted' AND o.deadline < b.time`,
      [network.name],
    );
  }

  /** A node whose tip lies below what the mirror has seen lost blocks: what it says about nonces is old. */
  private async checkNode(network: SubmissionNetwork): Promise<void> {
    const { dataSource, logger } = this.options;
    const [cursor] = await rowsOf<{ number: string }>(
      dataSource,
      'SELECT number FROM mirror.cursor WHERE network = $1',
      [network.name],
    );
    const tip = await network.reader.blockNumber();
    const behind = cursor !== undefined && tip < BigInt(cursor.number);
    if (behind === network.assigning) {
      const details = { network: network.name, tip: String(tip), cursor: cursor?.number };
      if (behind)
        logger.error(
          { alarm: true, runbook: 'node-behind-mirror', ...details },
          'The node is behind the mirror: nothing is assigned until it caught up.',
        );
      else logger.warn(details, 'The node caught up; acts are assigned again.');
    }
    network.assigning = !behind;
    if (behind) return;
    await alignSigners(dataSource, network, logger, network.aligned ? 'running' : 'start');
    const unsigned = await this.external.sweep(network);
    network.aligned = true;
    if (unsigned) this.options.ring(network.name);
  }

  /**
   * The oldest transaction without a block, unknown to the node in every form it has: it and all above it are sent again, the same
   * bytes. Of several attempts the newest goes first; should the node not take it, an older one still may be mined.
   */
  private async resend(network: SubmissionNetwork, signer: Sender, atOnce: boolean): Promise<void> {
    const { dataSource, logger, failpoint } = this.options;
    const open = await this.openTransactions(network, signer);
    const key = `${network.name} ${signer.address.toString('hex')}`;
    const suspect = this.suspects.get(key);
    this.suspects.delete(key);
    const lowest = open[0];
    if (lowest === undefined || !(lowest.attempts.every(({ due }) => due) || atOnce)) return;
    const all = open.flatMap(({ attempts }) => attempts);
    const answers = await network.reader.known(all.map(({ hash }) => hash));
    const known = new Set(all.filter((_, index) => answers[index] !== 'unknown'));
    const isLost = ({ attempts }: OpenTransaction) => !attempts.some((attempt) => known.has(attempt));
    const missing = open.findIndex(isLost);
    if (missing === -1) return this.outbid(network, lowest.attempts[0]!);
    if (missing === 0 && (await this.looksUsed(network, signer, BigInt(lowest.nonce)))) {
      // Two sweeps in a row must agree about the same nonce: between the questions above, a block may have come.
      if (suspect === lowest.nonce) return this.quarantine(network, signer, lowest.nonce);
      this.suspects.set(key, lowest.nonce);
      return;
    }
    const rescued = open.slice(missing);
    logger.info(
      { network: network.name, from: rescued[0]!.nonce, count: rescued.length },
      'Stored transactions are sent again.',
    );
    this.options.onRescue?.(network.name, rescued.filter(isLost).length);
    const again = rescued.flatMap((one) =>
      isLost(one) ? one.attempts : one.attempts.filter((attempt) => known.has(attempt)),
    );
    await broadcast(dataSource, network, signer, again, logger, failpoint);
  }

  private async outbid(network: SubmissionNetwork, newest: OpenAttempt): Promise<void> {
    const { signer_id: signerId, kind } = newest;
    const pooled = { signerId, kind, nonce: BigInt(newest.nonce), gasPrice: BigInt(newest.gas_price) };
    const refusal = await outbid(this.options, network, pooled);
    if (refusal === undefined || !this.speaksAgain(`${network.name} outbid`)) return;
    const details = { network: network.name, nonce: newest.nonce, refusal: refusal.code, detail: refusal.message };
    this.options.logger.warn(details, 'A transaction offers less than blocks ask, and no more could be offered.');
  }

  /** Lowest nonce first. */
  private async openTransactions(network: SubmissionNetwork, signer: Sender): Promise<OpenTransaction[]> {
    const attempts = await rowsOf<OpenAttempt>(
      this.options.dataSource,
      `SELECT s.id AS signer_id, t.nonce, a.kind, a.gas_price, a.hash, a.raw,
         coalesce(a.sent_at, t.created_at) < now() - $3 * interval '1 millisecond' AS due
       FROM gateway.signer s
       JOIN gateway.transaction t ON t.signer_id = s.id AND t.state IN ('signed', 'submitted')
       JOIN gateway.attempt a ON a.transaction_id = t.id
       WHERE s.network = $1 AND s.address = $2 AND NOT EXISTS (
         SELECT FROM gateway.attempt b JOIN mirror.inclusion i ON i.network = $1 AND i.transaction_hash = b.hash
         WHERE b.transaction_id = t.id)
         AND NOT EXISTS (
           SELECT FROM gateway.transaction u WHERE u.signer_id = s.id AND u.state = 'assigned' AND u.nonce < t.nonce)
       ORDER BY t.nonce, a.number DESC LIMIT 200`,
      [network.name, signer.address, network.limits.resendAfterMs],
    );
    const open: OpenTransaction[] = [];
    for (const attempt of attempts) {
      const last = open.at(-1);
      if (last?.nonce === attempt.nonce) last.attempts.push(attempt);
      else open.push({ nonce: attempt.nonce, attempts: [attempt] });
    }
    return open;
  }

  /**
   * The mirror knows transactions to the ledger. One that used our nonce for something else shows only in the account's nonce: it is
   * past ours while the mirror, level with the node, has no inclusion of our bytes.
   */
  private async looksUsed(network: SubmissionNetwork, signer: Sender, nonce: bigint): Promise<boolean> {
    const tip = await network.reader.blockNumber();
    const count = await network.reader.transactionCount(signer.address, 'latest');
    const [cursor] = await rowsOf<{ number: string }>(
      this.options.dataSource,
      'SELECT number FROM mirror.cursor WHERE network = $1',
      [network.name],
    );
    return count > nonce && cursor !== undefined && BigInt(cursor.number) >= tip;
  }

  private async quarantine(network: SubmissionNetwork, signer: Sender, nonce: string): Promise<void> {
    const changed = await rowsOf(
      this.options.dataSource,
      `UPDATE gateway.signer SET state = 'quarantined', reason = $3, fence = fence + 1
       WHERE network = $1 AND address = $2 AND state <> 'quarantined' RETURNING id`,
      [network.name, signer.address, `FOREIGN_NONCE ${nonce}`],
    );
    if (changed.length === 0) return;
    const details = { alarm: true, runbook: 'signer-quarantined', network: network.name, nonce };
    this.options.logger.error(details, 'A nonce of our signer was used by unknown bytes: the signer is quarantined.');
  }
}

function signersOf(dataSource: DataSource, network: SubmissionNetwork): Promise<Sender[]> {
  return rowsOf<Sender>(dataSource, 'SELECT address FROM gateway.signer WHERE network = $1 ORDER BY id', [
    network.name,
  ]);
}
