import type { PoolClient } from 'pg';
import type { NetworkConfig } from '../../../../libs/platform/src/networks.js';
import { Commits } from '../commit/commits.js';
import type { MirrorState } from '../commit/mirror.js';
import { assertSameChain, openNetwork } from '../commit/network.rows.js';
import { PostgresMirror } from '../commit/postgres.mirror.js';
import type { ChainSource, FetchedBlock, Position } from '../follow/chain-source.js';
import { consume, type ProgressHandlers } from '../follow/consume.js';
import { Follower } from '../follow/follower.js';
import { verifyBlock } from '../verify/block.verifier.js';
import { UntilSource } from './until.source.js';

/** How far the rebuilding of one network is. */
export interface RebuildProgress {
  network: string;
  block: bigint;
  target: bigint;
  /** Blocks and events written since the process started. */
  blocks: number;
  events: number;
}

/** One network's mirror made anew: the indexer's own following, verification and commits, up to a block that is asked for. */
export class NetworkRebuild {
  private blocks = 0;
  private events = 0;

  private constructor(
    readonly network: NetworkConfig,
    private readonly source: ChainSource,
    private readonly mirror: PostgresMirror,
    private state: MirrorState,
  ) {}

  /**
   * Begins before the first block, or goes on after the last commit of an earlier process.
   * @param client searches the schema that is written; in use until the rebuild ends
   * @throws ReplacedChainError when node, configuration and schema don't speak of one chain
   */
  static async open(client: PoolClient, network: NetworkConfig, source: ChainSource): Promise<NetworkRebuild> {
    assertSameChain(network, await source.identity());
    const epoch = await openNetwork(client, network, async (number) => {
      const [block] = await source.blocksByNumber(number, number);
      if (!block) throw new Error(`The node of the network ${network.name} has no block ${number} yet.`);
      return verify(network)(block);
    });
    const mirror = new PostgresMirror(client, network, epoch);
    return new NetworkRebuild(network, source, mirror, await mirror.load());
  }

  get tip(): Position {
    return this.state.tip;
  }

  /** Whether the block is among the rebuilt ones. */
  async contains({ number, hash }: Position): Promise<boolean> {
    return (await this.mirror.hashAt(number))?.equals(hash) ?? false;
  }

  /** Whether the node's chain has the block. */
  async isOnChain({ number, hash }: Position): Promise<boolean> {
    return (await this.source.hashAt(number))?.equals(hash) ?? false;
  }

  chainHead(): Promise<Position> {
    return this.source.head();
  }

  /**
   * Follows the chain until `target` is the tip.
   * @throws TargetGoneError when the node's chain doesn't have it; MismatchError when the node is caught lying
   */
  async to(target: Position, signal: AbortSignal, onProgress: (progress: RebuildProgress) => void): Promise<void> {
    if (this.state.tip.hash.equals(target.hash)) return;
    const source = new UntilSource(this.source, target);
    await source.head(); // so that a target that is gone is noticed before anything is fetched
    if (this.state.tip.number > target.number) {
      throw new Error(
        `The rebuilt ${this.network.name} stands at block ${this.state.tip.number} already, the live mirror at ${target.number}. ` +
          'Is the indexer running? Let it catch up, or begin anew with --fresh.',
      );
    }
    const reached = new AbortController();
    const commits = new Commits();
    const storedHash = (number: bigint) => commits.afterwards(() => this.mirror.hashAt(number));
    const follower = new Follower(source, verify(this.network), storedHash, {
      finalityDepth: this.network.finalityDepth,
    });
    const progress = follower.follow(this.state, AbortSignal.any([signal, reached.signal]));
    const handlers: ProgressHandlers = {
      onCommit: (state, blocks) => {
        this.state = state;
        this.blocks += blocks.length;
        for (const { events } of blocks) this.events += events.length;
        onProgress({
          ...{ network: this.network.name, block: state.tip.number, target: target.number },
          ...{ blocks: this.blocks, events: this.events },
        });
        if (state.tip.hash.equals(target.hash)) reached.abort();
      },
      onReorganisation: () => undefined,
      onFinal: async (number, page) => {
        const checkpoint = await this.mirror.dueCheckpoint(number, page);
        if (checkpoint) await this.mirror.keepCheckpoint(checkpoint);
      },
    };
    await consume(progress, this.mirror, this.state, handlers, commits);
    signal.throwIfAborted();
  }
}

function verify(network: NetworkConfig) {
  const options = { contract: network.contract, keepRaw: network.storeRawBlocks, proveSenders: true };
  return (block: FetchedBlock) => verifyBlock(block, options);
}
