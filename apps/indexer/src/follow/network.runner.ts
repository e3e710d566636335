import { setTimeout as sleep } from 'node:timers/promises';
import type { DataSource } from 'typeorm';
import type { NetworkConfig } from '../../../../libs/platform/src/networks.js';
import { Commits } from '../commit/commits.js';
import { noteIncident, noteStop, openIncidents, resolveIncidents } from '../commit/incidents.js';
import { assertSameChain, openNetwork } from '../commit/network.rows.js';
import { type MirrorFailpoint, PostgresMirror } from '../commit/postgres.mirror.js';
import type { IndexerMetrics } from '../health/metrics.js';
import { Lead } from '../lead/lead.js';
import { verifyBlock } from '../verify/block.verifier.js';
import { MismatchError } from '../verify/mismatch.error.js';
import { AskedSource } from './asked.source.js';
import type { ChainSource, FetchedBlock } from './chain-source.js';
import { Checkpoints } from './checkpoints.js';
import { consume, type ProgressHandlers } from './consume.js';
import { incidentOf, mayPass, PATIENCE, type Patience } from './distrust.js';
import { Follower } from './follower.js';
import { NetworkState } from './network.state.js';
import { BeyondFinalityError } from './progress.js';
import type { RunnerLog } from './runner-log.js';

export interface RunnerDependencies {
  dataSource: DataSource;
  source: ChainSource;
  metrics: IndexerMetrics;
  /** Blocks are stored unverified. Default: no. */
  trustNode?: boolean;
  log: RunnerLog;
  failpoint?: (name: MirrorFailpoint) => void;
  patience?: Patience;
  /** A second node of the same network, asked at checkpoints only. */
  witness?: ChainSource;
}

/**
 * Follows one network for as long as the process lives: takes the lead, follows, and begins again after whatever may pass. A node that can't be
 * believed stops the network with an alarm; it is still asked, and followed again once its answers fit what is stored.
 */
export class NetworkRunner {
  readonly state: NetworkState;
  private readonly source: ChainSource;
  private readonly patience: Patience;
  /** Incidents since the last progress. */
  private distrusted = 0;
  /** Highest block with an open incident, −1 when it is about no block. */
  private troubleAt: bigint | undefined;

  constructor(
    private readonly network: NetworkConfig,
    private readonly dependencies: RunnerDependencies,
  ) {
    this.state = new NetworkState(network);
    this.source = new AskedSource(dependencies.source);
    this.patience = dependencies.patience ?? PATIENCE;
  }

  /** Resolves when stopped by the signal. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    const looking = setInterval(() => void this.lookAtWitness(), this.patience.witnessMs);
    try {
      await this.followOn(signal);
    } finally {
      clearInterval(looking);
    }
  }

  private async followOn(signal: AbortSignal): Promise<void> {
    let delay = this.patience.firstMs;
    while (!signal.aborted) {
      try {
        await this.lead(signal, () => {
          delay = this.patience.firstMs;
        });
      } catch (error) {
        if (signal.aborted) return;
        const { state } = this;
        state.lastError = (error as Error).message;
        if (state.phase === 'stopped') delay = this.patience.stoppedMs;
        else {
          state.phase = 'connecting';
          this.dependencies.log.warn(`${this.network.name}: ${state.lastError} Trying again in ${delay} ms.`);
        }
        await sleep(delay, undefined, { signal }).catch(() => undefined);
        delay = Math.min(delay * 2, this.patience.longestMs);
      }
    }
  }

  private async lead(signal: AbortSignal, onProgress: () => void): Promise<void> {
    const { dataSource, log } = this.dependencies;
    const lead = await Lead.acquire(dataSource, this.network.name, signal, () => {
      this.state.phase = 'standby';
      this.state.stoppedReason = undefined;
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
    const { metrics, log, failpoint, witness } = this.dependencies;
    const { network, state, source } = this;
    let mirror: PostgresMirror | undefined;
    try {
      assertSameChain(network, await source.identity());
      const epoch = await openNetwork(lead.client, network, (number) => this.readBase(number));
      mirror = new PostgresMirror(lead.client, network, epoch, failpoint);
      const start = await mirror.load();
      this.troubleAt = await openIncidents(lead.client, network.name);
      state.mirror = start;
      if (state.phase !== 'stopped') state.phase = 'catching-up';
      log.log(`${network.name}: leading, from block ${start.tip.number}, sequence ${start.ledger.sequence}.`);
      const writer = mirror;
      const checkpoints = new Checkpoints(network, source, witness, log);
      const commits = new Commits();
      const storedHash = (number: bigint) => commits.afterwards(() => writer.hashAt(number));
      const follower = new Follower(source, this.verify, storedHash, {
        finalityDepth: network.finalityDepth,
        onHead: ({ number }) => {
          state.headNumber = number;
          this.notePhase();
        },
      });
      const handlers: ProgressHandlers = {
        onCommit: async (committed, blocks, seconds) => {
          state.mirror = committed;
          metrics.onCommit(network.name, blocks, seconds);
          if (this.troubleAt !== undefined && committed.tip.number >= this.troubleAt) await this.settle(lead);
          this.notePhase();
          onProgress();
        },
        onReorganisation: (depth) => {
          state.reorganisations++;
          metrics.onReorganisation(network.name);
          log.warn(`${network.name}: reorganised, ${depth} blocks deep.`);
        },
        onFinal: (number, page) => checkpoints.take(writer, lead.client, number, page),
        onLevel: async () => {
          await checkpoints.keep(writer, lead.client);
          await this.settle(lead);
        },
      };
      const following = consume(follower.follow(start, signal), mirror, start, handlers, commits);
      await checkpoints.keepAfter(following, mirror, lead.client, (late) => this.note(late, lead, writer));
    } catch (error) {
      await this.note(error, lead, mirror);
      throw error;
    }
  }

  private readonly verify = (block: FetchedBlock) =>
    verifyBlock(block, {
      contract: this.network.contract,
      keepRaw: this.network.storeRawBlocks,
      proveSenders: !block.bulk,
      trustNode: this.dependencies.trustNode,
    });

  private async readBase(number: bigint) {
    const [block] = await this.source.blocksByNumber(number, number);
    if (!block) throw new Error(`The node of the network ${this.network.name} has no block ${number} yet.`);
    const { genesisHash } = this.network;
    if (number === 0n && !block.hash.equals(genesisHash)) {
      throw new MismatchError(
        number,
        block.hash,
        `the node gave it where 0x${genesisHash.toString('hex')} is genesis.`,
      );
    }
    return this.verify(block);
  }

  private async lookAtWitness(): Promise<void> {
    const head = await this.dependencies.witness?.head().catch(() => undefined);
    this.state.witnessNumber = head?.number;
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

  /** The node's answers fit what is stored: an alarm that stood is over. */
  private async settle({ client }: Lead): Promise<void> {
    const { state, network } = this;
    this.distrusted = 0;
    if (state.phase !== 'stopped' && this.troubleAt === undefined) return;
    await resolveIncidents(client, network.name);
    this.troubleAt = undefined;
    if (state.phase === 'stopped') state.phase = 'catching-up';
    state.stoppedReason = undefined;
    this.dependencies.log.warn(
      `${network.name}: what the node says fits again, up to block ${state.mirror?.tip.number}.`,
    );
    this.notePhase();
  }

  /** Puts on record what the error accuses the node of, if anything, and raises the alarm unless it may have been an accident. */
  private async note(error: unknown, lead: Lead, mirror: PostgresMirror | undefined): Promise<void> {
    const incident = incidentOf(error);
    if (incident === undefined) return;
    const { state, network } = this;
    const { log, metrics } = this.dependencies;
    const { detail } = incident;
    state.mismatches++;
    this.distrusted++;
    metrics.onMismatch(network.name);
    const stops = state.phase === 'stopped' || !mayPass(incident) || this.distrusted >= this.patience.tries;
    try {
      await noteIncident(lead.client, network.name, incident);
      if (stops) await noteStop(lead.client, network.name, detail);
      if (error instanceof BeyondFinalityError) await mirror?.noteReplaced(error);
    } catch (cause) {
      log.error(`${network.name}: the incident could not be stored. ${(cause as Error).message}`);
    }
    if (!stops) {
      log.error(
        `${network.name}: the node can't be believed (${this.distrusted} of ${this.patience.tries}). ${detail}`,
      );
      return;
    }
    state.stoppedReason = detail;
    if (state.phase === 'stopped') return;
    state.phase = 'stopped';
    log.error(`ALARM: the network ${network.name} is no longer followed. ${detail}`);
  }
}
