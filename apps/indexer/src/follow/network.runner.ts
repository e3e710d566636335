import { setTimeout as sleep } from 'node:timers/promises';
import type { DataSource } from 'typeorm';
import type { NetworkConfig } from '../../../../libs/platform/src/networks.js';
import { assertSameChain, openNetwork, ReplacedChainError } from '../commit/network.rows.js';
import { type MirrorFailpoint, PostgresMirror } from '../commit/postgres.mirror.js';
import type { IndexerMetrics } from '../health/metrics.js';
import { Lead } from '../lead/lead.js';
import { verifyBlock } from '../verify/block.verifier.js';
import { MismatchError } from '../verify/mismatch.error.js';
import type { ChainSource, FetchedBlock } from './chain-source.js';
import { consume } from './consume.js';
import { Follower } from './follower.js';
import { NetworkState } from './network.state.js';
import { BeyondFinalityError } from './progress.js';

export interface RunnerLog {
  log(message: string): void;
  warn(message: string): void;
  error(message: string): void;
}

export interface RunnerDependencies {
  dataSource: DataSource;
  source: ChainSource;
  metrics: IndexerMetrics;
  log: RunnerLog;
  failpoint?: (name: MirrorFailpoint) => void;
}

const FIRST_DELAY_MS = 100;
const LONGEST_DELAY_MS = 5_000;

/** Follows one network for as long as the process lives: takes the lead, follows, and begins again after whatever may pass. */
export class NetworkRunner {
  readonly state: NetworkState;

  constructor(
    private readonly network: NetworkConfig,
    private readonly dependencies: RunnerDependencies,
  ) {
    this.state = new NetworkState(network);
  }

  /** Resolves when stopped: by the signal, or for good because a person must look. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    let delay = FIRST_DELAY_MS;
    while (!signal.aborted) {
      try {
        await this.lead(signal, () => {
          delay = FIRST_DELAY_MS;
        });
      } catch (error) {
        if (signal.aborted) return;
        if (this.state.phase === 'stopped') return;
        this.state.phase = 'connecting';
        this.state.lastError = (error as Error).message;
        this.dependencies.log.warn(`${this.network.name}: ${this.state.lastError} Trying again in ${delay} ms.`);
        await sleep(delay, undefined, { signal }).catch(() => undefined);
        delay = Math.min(delay * 2, LONGEST_DELAY_MS);
      }
    }
  }

  private async lead(signal: AbortSignal, onProgress: () => void): Promise<void> {
    const { dataSource, log } = this.dependencies;
    const lead = await Lead.acquire(dataSource, this.network.name, signal, () => {
      this.state.phase = 'standby';
      log.log(`${this.network.name}: another indexer leads; standing by.`);
    });
    try {
      await this.follow(lead, AbortSignal.any([signal, lead.lost]), onProgress);
      lead.lost.throwIfAborted();
    } finally {
      await lead.release();
    }
  }

  private async follow(lead: Lead, signal: AbortSignal, onProgress: () => void): Promise<void> {
    const { source, metrics, log, failpoint } = this.dependencies;
    const { network, state } = this;
    let mirror: PostgresMirror | undefined;
    try {
      assertSameChain(network, await source.identity());
      const epoch = await openNetwork(lead.client, network, (number) => this.readBase(number));
      mirror = new PostgresMirror(lead.client, network, epoch, failpoint);
      const start = await mirror.load();
      state.mirror = start;
      state.phase = 'catching-up';
      log.log(`${network.name}: leading, from block ${start.tip.number}, sequence ${start.ledger.sequence}.`);
      const writer = mirror;
      const follower = new Follower(source, this.verify, (number) => writer.hashAt(number), {
        finalityDepth: network.finalityDepth,
        onHead: ({ number }) => {
          state.headNumber = number;
          this.notePhase();
        },
      });
      await consume(follower.follow(start, signal), mirror, start, {
        onCommit: (committed, blocks, seconds) => {
          state.mirror = committed;
          metrics.onCommit(network.name, blocks, seconds);
          this.notePhase();
          onProgress();
        },
        onReorganisation: (depth) => {
          state.reorganisations++;
          metrics.onReorganisation(network.name);
          log.warn(`${network.name}: reorganised, ${depth} blocks deep.`);
        },
        onFinal: (number) => writer.checkpoint(number),
      });
    } catch (error) {
      if (mustStop(error)) await this.stop(error, mirror);
      throw error;
    }
  }

  private readonly verify = (block: FetchedBlock) =>
    verifyBlock(block, { contract: this.network.contract, keepRaw: this.network.storeRawBlocks });

  private async readBase(number: bigint) {
    const [block] = await this.dependencies.source.blocksByNumber(number, number);
    if (!block) throw new Error(`The node of the network ${this.network.name} has no block ${number} yet.`);
    return this.verify(block);
  }

  /** Having caught up once is enough: a few blocks of lag are the chain being faster than a commit for a moment. */
  private notePhase(): void {
    const { state } = this;
    if (state.phase === 'catching-up' && state.lag === 0n) {
      state.phase = 'following';
      state.lastError = undefined;
      this.dependencies.log.log(`${this.network.name}: caught up at block ${state.mirror?.tip.number}.`);
    }
  }

  private async stop(error: Error, mirror: PostgresMirror | undefined): Promise<void> {
    this.state.phase = 'stopped';
    this.state.stoppedReason = error.message;
    this.dependencies.log.error(`ALARM: the network ${this.network.name} is no longer followed. ${error.message}`);
    try {
      await mirror?.noteStop(error.message);
      if (error instanceof BeyondFinalityError) await mirror?.noteReplaced(error);
    } catch (cause) {
      this.dependencies.log.error(`${this.network.name}: the reason could not be stored. ${(cause as Error).message}`);
    }
  }
}

function mustStop(error: unknown): error is Error {
  return error instanceof MismatchError || error instanceof BeyondFinalityError || error instanceof ReplacedChainError;
}
