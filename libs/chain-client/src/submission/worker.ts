import type { DataSource } from 'typeorm';
import type { Logger } from '../../../platform/src/logger.js';
import { broadcast } from './broadcast.js';
import { acceptAndSign } from './direct.js';
import { ExternalSigning } from './external-signing.js';
import type { Failpoint } from './failpoint.js';
import { type Held, Line, MOST_HELD } from './line.js';
import type { NamedOperation } from './operation.insert.js';
import type { Accepted } from './operation.types.js';
import { type Attempt, type SignResult, signWaiting } from './signing.js';
import type { SubmissionNetwork } from './submission.network.js';

export interface WorkerOptions {
  dataSource: DataSource;
  networks: SubmissionNetwork[];
  logger: Logger;
  failpoint: Failpoint;
  /** Stores an act as accepted, for those that can't be signed at once. */
  accept(operation: NamedOperation): Promise<Accepted>;
  /** Told of acts that left the table's waiting ones. */
  onSigned?(network: string, acts: number): void;
}

export interface WorkerStats {
  transactions: number;
  acts: number;
}

/** Acts taken into one commit: five full transactions. */
const MOST_AT_ONCE = 1_000;

/**
 * Signs and sends what waits, one signer at a time each. A worker drains until nothing waits, so that a ring during a run is never
 * lost: it makes the run look once more before it ends.
 */
export class SubmissionWorker {
  readonly stats: WorkerStats = { transactions: 0, acts: 0 };
  private readonly external: ExternalSigning;
  private readonly lines: Line[];
  private stopping = false;

  constructor(private readonly options: WorkerOptions) {
    this.external = new ExternalSigning(options);
    this.lines = options.networks.flatMap((network) => network.signers.map((signer) => new Line(network, signer)));
  }

  /** Something may be waiting on this network. Returns at once; see `drain`. */
  kick(network: string): void {
    void this.drain(network);
  }

  /**
   * Takes an act that isn't stored yet: what comes while a commit is under way, or while no further transaction may be out, shares the
   * next one. Undefined where the act is to be accepted first: several signers share this network by record, or none is here, or
   * it signs elsewhere, or nothing moves at the moment.
   */
  offer(operation: NamedOperation): Promise<Accepted> | undefined {
    const [line, other] = this.linesOf(operation.network);
    if (line === undefined || other !== undefined || line.signer.remote || this.stopping) return undefined;
    if (line.stalled || line.held >= MOST_HELD || !mayAssign(line)) return undefined;
    return new Promise((resolve, reject) => {
      line.hold({ operation, resolve, reject });
      this.start(line);
    });
  }

  /** Whether more acts are held than a second or so carries. */
  crowded(network: string): boolean {
    return this.linesOf(network).some((line) => line.held >= MOST_HELD);
  }

  /** Blocks were mined: goes on if acts were waiting for that. */
  mined(network: string): void {
    for (const line of this.linesOf(network)) if (line.onMined()) this.start(line);
  }

  /** True while this process is at work on the network, and will therefore find what was committed before now. */
  draining(network: string): boolean {
    const lines = this.linesOf(network);
    return lines.length > 0 && lines.every((line) => line.running !== undefined);
  }

  /** Resolves when nothing that can be sent now is left waiting. Never rejects. */
  async drain(network: string): Promise<void> {
    await Promise.all(
      this.linesOf(network).map((line) => {
        line.again = true;
        return this.start(line);
      }),
    );
  }

  /** Ends after the step in hand; what is held is accepted for whoever comes next. */
  async stop(): Promise<void> {
    this.stopping = true;
    await Promise.all(this.lines.map((line) => line.running));
    for (const line of this.lines) this.acceptInstead(line.take(MOST_HELD + MOST_AT_ONCE));
  }

  private linesOf(network: string): Line[] {
    return this.lines.filter((line) => line.network.name === network);
  }

  private start(line: Line): Promise<void> {
    line.running ??= this.loop(line);
    return line.running;
  }

  private async loop(line: Line): Promise<void> {
    const { logger } = this.options;
    // Not in the caller's turn: `running` must hold this run before the run can end.
    await Promise.resolve();
    try {
      // The inner run waits for its last send; what was rung meanwhile is looked for in another one.
      while (line.wanted && !this.stopping && mayAssign(line)) await this.signAndSend(line);
    } catch (error) {
      logger.error({ err: error, network: line.network.name }, 'Signing failed; the sweeper tries again.');
    } finally {
      // In the same turn as the last look: a ring after it starts a new run.
      line.running = undefined;
      if (line.full) line.watchForStall((held) => this.acceptInstead(held));
      else this.acceptInstead(line.take(MOST_AT_ONCE + MOST_HELD));
    }
  }

  private async signAndSend(line: Line): Promise<void> {
    let sending: Promise<void> = Promise.resolve();
    try {
      while (line.wanted && !this.stopping) {
        const attempts = line.again ? await this.signWaiting(line) : await this.signHeld(line);
        if (attempts.length === 0) continue;
        this.options.failpoint('after-attempt-commit');
        this.stats.transactions += attempts.length;
        // The next batch is signed while this one travels; one batch at a time, so that nonces arrive in order.
        await sending;
        sending = this.send(line, attempts);
      }
    } finally {
      await sending;
    }
  }

  /** Step 2 for acts in the table. */
  private async signWaiting(line: Line): Promise<Attempt[]> {
    line.again = false;
    const { mined } = line;
    const { attempts, acts, more, blocked } = await this.sign(line);
    line.blocked = blocked;
    // What it waits for came while it looked: on an idle network nothing else would say so.
    if (more || (blocked && line.mined !== mined)) line.again = true;
    this.stats.acts += acts;
    if (acts > 0) this.options.onSigned?.(line.network.name, acts);
    return attempts;
  }

  private sign({ network, signer }: Line): Promise<SignResult> {
    const { dataSource, failpoint } = this.options;
    if (signer.remote) return this.external.signWaiting(network, signer);
    return signWaiting(dataSource, network, signer, failpoint);
  }

  /** Steps 1 and 2 for the acts held. */
  private async signHeld(line: Line): Promise<Attempt[]> {
    const { dataSource, failpoint } = this.options;
    const { mined } = line;
    const group = line.take(MOST_AT_ONCE);
    if (line.signer.remote) {
      this.acceptInstead(group);
      return [];
    }
    let direct: Awaited<ReturnType<typeof acceptAndSign>>;
    try {
      const operations = group.map(({ operation }) => operation);
      direct = await acceptAndSign(dataSource, line.network, line.signer, operations, failpoint);
    } catch (error) {
      // Refused by the database: each is tried alone. Else it is unknown what happened, and only a retry of the key can tell.
      if (isRefusal(error)) this.acceptInstead(group);
      else for (const { reject } of group) reject(error);
      return [];
    }
    if (direct === undefined) {
      this.acceptInstead(group);
      return [];
    }
    if ('known' in direct) {
      const known = new Set(direct.known);
      this.acceptInstead(group.filter((_, place) => known.has(place)));
      line.putBack(group.filter((_, place) => !known.has(place)));
      return [];
    }
    const { outcomes, attempts } = direct;
    if (outcomes.length > 0) failpoint('after-accept-commit');
    for (const [index, outcome] of outcomes.entries()) {
      if (outcome instanceof Error) group[index]!.reject(outcome);
      else group[index]!.resolve(outcome);
    }
    const left = group.slice(outcomes.length);
    line.putBack(left);
    line.full = left.length > 0 && line.mined === mined;
    // Accepted only: they wait in the table now, behind those that were there.
    if (outcomes.length > 0 && attempts.length === 0) line.again = true;
    if (attempts.length > 0) this.stats.acts += outcomes.length;
    return attempts;
  }

  private acceptInstead(held: readonly Held[]): void {
    for (const { operation, resolve } of held) resolve(this.options.accept(operation));
  }

  private async send(line: Line, attempts: readonly Attempt[]): Promise<void> {
    const { dataSource, logger, failpoint } = this.options;
    try {
      await broadcast(dataSource, line.network, line.signer, attempts, logger, failpoint);
    } catch (error) {
      logger.error(
        { err: error, network: line.network.name },
        'Sending failed; the sweeper sends the same bytes again.',
      );
    }
  }
}

function mayAssign({ network }: Line): boolean {
  return network.assigning && network.aligned;
}

/** SQLSTATE classes 22 (data), 23 (constraints), 40 (rolled back), 55 (a lock not had in time): nothing of it was stored. */
function isRefusal(error: unknown): boolean {
  const { code } = error as { code?: unknown };
  return typeof code === 'string' && /^(22|23|40|55)...$/.test(code);
}
