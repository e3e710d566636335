import type { DataSource } from 'typeorm';
import type { Logger } from '../../../platform/src/logger.js';
import { broadcast } from './broadcast.js';
import { type Direct, DirectSigning, type Known } from './direct.js';
import { ExternalSigning } from './external-signing.js';
import type { Failpoint } from './failpoint.js';
import { followHeads } from './gate.js';
import { type Held, Line, MOST_HELD } from './line.js';
import type { NamedOperation } from './operation.insert.js';
import type { Accepted } from './operation.types.js';
import { type Outgoing, type SignResult, signWaiting } from './signing.js';
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

/**
 * Of the held ones, as many are taken into one transaction; a volley is about as large. With more the whole crowd of clients moves as one
 * wave, and node and gateway wait for each other by turns.
 */
const PORTION = 96;
const VOLLEY_BYTES = 32 * 1024;

/**
 * Signs and sends what waits, one signer at a time each. A worker drains until nothing waits, so that a ring during a run is never
 * lost: it makes the run look once more before it ends.
 */
export class SubmissionWorker {
  readonly stats: WorkerStats = { transactions: 0, acts: 0 };
  private readonly external: ExternalSigning;
  private readonly lines: Line[];
  private readonly unwatch: (() => Promise<void>)[] = [];
  private stopping = false;

  constructor(private readonly options: WorkerOptions) {
    this.external = new ExternalSigning(options);
    const { networks, dataSource, failpoint } = options;
    this.lines = networks.flatMap((network) =>
      network.signers.map((signer) => {
        const direct = signer.remote ? undefined : new DirectSigning(dataSource, network, signer, failpoint);
        return new Line(network, signer, direct);
      }),
    );
  }

  /** Follows the heads of the networks, which pace what is sent. */
  start(): void {
    for (const network of this.options.networks) {
      const gates = this.linesOf(network.name).map(({ signer: { address }, gate }) => ({ address, gate }));
      this.unwatch.push(followHeads(network, gates, this.options.logger));
    }
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
    if (line === undefined || other !== undefined || line.direct === undefined || this.stopping) return undefined;
    if (line.stalled || line.held >= MOST_HELD || !mayAssign(line)) return undefined;
    return new Promise((resolve, reject) => {
      line.hold({ operation, since: performance.now(), resolve, reject });
      this.startHeld(line);
    });
  }

  /** Whether more acts are held than a second or so carries. */
  crowded(network: string): boolean {
    return this.linesOf(network).some((line) => line.held >= MOST_HELD);
  }

  /** Blocks were mined: goes on if acts were waiting for that. */
  mined(network: string): void {
    for (const line of this.linesOf(network)) if (line.onMined()) this.run(line);
  }

  /** True while this process is at work on the network, and will therefore find what was committed before now. */
  draining(network: string): boolean {
    const lines = this.linesOf(network);
    return lines.length > 0 && lines.every((line) => line.running !== undefined);
  }

  /** Resolves when nothing that can be sent now is left waiting. Never rejects. */
  async drain(network: string): Promise<void> {
    await Promise.all(
      this.linesOf(network).map(async (line) => {
        line.again = true;
        await this.run(line);
        await line.sending;
      }),
    );
  }

  /** Ends after the step in hand; what is held is accepted for whoever comes next. */
  async stop(): Promise<void> {
    this.stopping = true;
    await Promise.all(this.lines.map((line) => line.running));
    for (const line of this.lines) this.acceptInstead(line.take());
    await Promise.all(this.lines.map((line) => line.sending));
    await Promise.all(this.unwatch.splice(0).map((end) => end()));
  }

  private linesOf(network: string): Line[] {
    return this.lines.filter((line) => line.network.name === network);
  }

  /** Goes on with what is held, now or when it has waited long enough for more. */
  private startHeld(line: Line): void {
    if (line.running !== undefined) return;
    if (line.wanted) void this.run(line);
    else line.watchForMore(() => this.startHeld(line));
  }

  private run(line: Line): Promise<void> {
    line.running ??= this.loop(line);
    return line.running;
  }

  private async loop(line: Line): Promise<void> {
    const { logger } = this.options;
    let goesOn = false;
    // Not in the caller's turn: `running` must hold this run before the run can end.
    await Promise.resolve();
    try {
      while (line.wanted && !this.stopping && mayAssign(line)) {
        const fromTable = line.again;
        const attempts = fromTable ? await this.signWaiting(line) : await this.signHeld(line);
        // The table's go first, and there are more: who came meanwhile is accepted behind them, rather than kept waiting by a steady stream.
        if (fromTable && line.again) this.acceptInstead(line.take());
        if (attempts.length === 0) continue;
        this.options.failpoint('after-attempt-commit');
        this.stats.transactions += attempts.length;
        line.outgoing.push(...attempts);
        line.sending ??= this.sendAll(line);
      }
      goesOn = !this.stopping && mayAssign(line);
    } catch (error) {
      logger.error({ err: error, network: line.network.name }, 'Signing failed; the sweeper tries again.');
    } finally {
      // In the same turn as the last look: a ring after it starts a new run.
      line.running = undefined;
      if (line.full) line.watchForStall((held) => this.acceptInstead(held));
      else if (goesOn) this.startHeld(line);
      else this.acceptInstead(line.take());
    }
  }

  /** Step 3, one volley after another, so that nonces arrive in order; the next acts are signed meanwhile. */
  private async sendAll(line: Line): Promise<void> {
    while (line.outgoing.length > 0) {
      // Who stops sends all that is left, rather than leave it to the next sweep.
      if (!this.stopping) await line.gate.turn(line.outgoing[0]!.nonce);
      const volley = line.outgoing.splice(0, this.stopping ? line.outgoing.length : volleyOf(line.outgoing));
      this.startHeld(line);
      await this.send(line, volley);
    }
    // In the same turn as the last look.
    line.sending = undefined;
  }

  /** Step 2 for acts in the table. */
  private async signWaiting(line: Line): Promise<Outgoing[]> {
    line.again = false;
    const { mined } = line;
    const { attempts, acts, more, blocked } = await this.sign(line);
    line.blocked = blocked;
    // What it waits for came while it looked: on an idle network nothing else would say so.
    if (more || (blocked && line.mined !== mined)) line.again = true;
    this.stats.acts += acts;
    if (attempts.length > 0) line.direct?.forget();
    if (acts > 0) this.options.onSigned?.(line.network.name, acts);
    return attempts;
  }

  private sign({ network, signer }: Line): Promise<SignResult> {
    const { dataSource, failpoint } = this.options;
    if (signer.remote) return this.external.signWaiting(network, signer);
    return signWaiting(dataSource, network, signer, failpoint);
  }

  /** Steps 1 and 2 for the acts held. */
  private async signHeld(line: Line): Promise<Outgoing[]> {
    const { failpoint } = this.options;
    const { mined } = line;
    const group = line.takeOfEachKey(PORTION);
    if (line.direct === undefined) {
      this.acceptInstead(group);
      return [];
    }
    let direct: Direct | Known | undefined;
    try {
      direct = await line.direct.acceptAndSign(group.map(({ operation }) => operation));
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
    const { outcomes, attempts, full } = direct;
    if (outcomes.length > 0) failpoint('after-accept-commit');
    for (const [index, outcome] of outcomes.entries()) {
      if (outcome instanceof Error) group[index]!.reject(outcome);
      else group[index]!.resolve(outcome);
    }
    line.putBack(group.slice(outcomes.length));
    line.full = full && line.mined === mined;
    // Accepted only: they wait in the table now, behind those that were there.
    if (outcomes.length > 0 && attempts.length === 0) line.again = true;
    if (attempts.length > 0) this.stats.acts += outcomes.length;
    return attempts;
  }

  private acceptInstead(held: readonly Held[]): void {
    for (const { operation, resolve } of held) resolve(this.options.accept(operation));
  }

  private async send(line: Line, attempts: readonly Outgoing[]): Promise<void> {
    const { dataSource, logger, failpoint } = this.options;
    try {
      // The last first: each waits in the pool for the one before it, and the first brings all of them into one block.
      await broadcast(dataSource, line.network, line.signer, [...attempts].reverse(), logger, failpoint);
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

/** How many of what is stored leave together. */
function volleyOf(outgoing: readonly Outgoing[]): number {
  let bytes = 0;
  const beyond = outgoing.findIndex(({ raw }) => {
    bytes += raw.length;
    return bytes > VOLLEY_BYTES;
  });
  return beyond === -1 ? outgoing.length : Math.max(1, beyond);
}
