import type { DataSource } from 'typeorm';
import type { Logger } from '../../../platform/src/logger.js';
import type { LocalSigner } from '../keys/signer.js';
import { broadcast } from './broadcast.js';
import type { Failpoint } from './failpoint.js';
import { type Attempt, signWaiting } from './signing.js';
import type { SubmissionNetwork } from './submission.network.js';

export interface WorkerOptions {
  dataSource: DataSource;
  networks: SubmissionNetwork[];
  logger: Logger;
  failpoint: Failpoint;
  onSigned?(network: string, acts: number): void;
}

export interface WorkerStats {
  transactions: number;
  acts: number;
}

/**
 * Signs and sends what waits, one signer at a time each. A worker drains until nothing waits, so that a ring during a run is never
 * lost: it makes the run look once more before it ends.
 */
export class SubmissionWorker {
  readonly stats: WorkerStats = { transactions: 0, acts: 0 };
  private readonly lines = new Map<string, Line>();
  private stopping = false;

  constructor(private readonly options: WorkerOptions) {
    for (const network of options.networks) {
      for (const signer of network.signers) this.lines.set(keyOf(network, signer), new Line(network, signer));
    }
  }

  /** Something may be waiting on this network. Returns at once; see `drain`. */
  kick(network: string): void {
    void this.drain(network);
  }

  /** Blocks were mined: goes on if acts were waiting for that. */
  mined(network: string): void {
    for (const line of this.linesOf(network)) {
      line.mined += 1;
      if (line.blocked) void this.run(line);
    }
  }

  /** True while this process is at work on the network, and will therefore find what was committed before now. */
  draining(network: string): boolean {
    const lines = this.linesOf(network);
    return lines.length > 0 && lines.every((line) => line.running !== undefined);
  }

  /** Resolves when nothing that can be sent now is left waiting. Never rejects. */
  async drain(network: string): Promise<void> {
    await Promise.all(this.linesOf(network).map((line) => this.run(line)));
  }

  /** Ends after the step in hand. */
  async stop(): Promise<void> {
    this.stopping = true;
    await Promise.all([...this.lines.values()].map((line) => line.running));
  }

  private linesOf(network: string): Line[] {
    return [...this.lines.values()].filter((line) => line.network.name === network);
  }

  private run(line: Line): Promise<void> {
    line.again = true;
    line.running ??= this.loop(line);
    return line.running;
  }

  private async loop(line: Line): Promise<void> {
    const { logger } = this.options;
    // Not in the caller's turn: `running` must hold this run before the run can end.
    await Promise.resolve();
    try {
      // The inner run waits for its last send; what was rung meanwhile is looked for in another one.
      while (line.again && !this.stopping && line.network.assigning && line.network.aligned)
        await this.signAndSend(line);
    } catch (error) {
      logger.error({ err: error, network: line.network.name }, 'Signing failed; the sweeper tries again.');
    } finally {
      // In the same turn as the last look at `again`: a ring after it starts a new run.
      line.running = undefined;
    }
  }

  private async signAndSend(line: Line): Promise<void> {
    const { dataSource, failpoint } = this.options;
    let sending: Promise<void> = Promise.resolve();
    try {
      while (line.again && !this.stopping) {
        line.again = false;
        const { mined } = line;
        const { attempts, acts, more, blocked } = await signWaiting(dataSource, line.network, line.signer, failpoint);
        line.blocked = blocked;
        // What it waits for came while it looked: on an idle network nothing else would say so.
        if (blocked && line.mined !== mined) line.again = true;
        if (attempts.length === 0) continue;
        failpoint('after-attempt-commit');
        this.stats.transactions += attempts.length;
        this.stats.acts += acts;
        this.options.onSigned?.(line.network.name, acts);
        // The next batch is signed while this one travels; one batch at a time, so that nonces arrive in order.
        await sending;
        sending = this.send(line, attempts);
        if (more) line.again = true;
      }
    } finally {
      await sending;
    }
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

class Line {
  /** Something may have come since the last look. */
  again = false;
  /** Acts wait for transactions to be mined. */
  blocked = false;
  /** How often blocks were mined. */
  mined = 0;
  running: Promise<void> | undefined;

  constructor(
    readonly network: SubmissionNetwork,
    readonly signer: LocalSigner,
  ) {}
}

function keyOf(network: SubmissionNetwork, signer: LocalSigner): string {
  return `${network.name} ${signer.address.toString('hex')}`;
}
