import type { ChainSource, FetchedBlock, Head, Position, Watch } from '../follow/chain-source.js';

/** The node's chain no longer has the block that was to be reached. Looking again where the live mirror stands may help. */
export class TargetGoneError extends Error {
  override readonly name = 'TargetGoneError';

  constructor(target: Position) {
    super(`The node does not have block 0x${target.hash.toString('hex')} at ${target.number}.`);
  }
}

/** A node's chain, as if it ended with one block: whoever follows it stops there. */
export class UntilSource implements ChainSource {
  constructor(
    private readonly node: ChainSource,
    private readonly target: Position,
  ) {}

  identity(): ReturnType<ChainSource['identity']> {
    return this.node.identity();
  }

  /** @throws TargetGoneError */
  async head(): Promise<Head> {
    const block = await this.node.blockByHash(this.target);
    const canonical = await this.node.hashAt(this.target.number);
    if (!block || !canonical?.equals(this.target.hash)) throw new TargetGoneError(this.target);
    return { ...this.target, parentHash: block.header.parentHash as Buffer };
  }

  hashAt(number: bigint): Promise<Buffer | undefined> {
    return this.node.hashAt(number);
  }

  blockByHash(position: Position): Promise<FetchedBlock | undefined> {
    return this.node.blockByHash(position);
  }

  stateProof(...asked: Parameters<ChainSource['stateProof']>): ReturnType<ChainSource['stateProof']> {
    return this.node.stateProof(...asked);
  }

  blocksByNumber(from: bigint, to: bigint): Promise<FetchedBlock[]> {
    return this.node.blocksByNumber(from, to);
  }

  /** Nothing new ever comes. */
  async watch(): Promise<Watch> {
    return { close: async () => undefined };
  }
}
