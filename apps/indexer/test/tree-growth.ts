import { type ModelBlock, type ModelSource, pathTo, randomBlock } from './chain-model.js';
import type { Random } from './ledger-model.js';

/** How a tree grows; follows from its seed. */
export interface TreeShape {
  /** Of the network: reorganisations are one block less deep at most. */
  finalityDepth: number;
  moves: number;
  emptyPercent: number;
}

/** Three trees in four are shallow and busy; the rest fork up to 64 blocks deep. */
export function shapeOf(random: Random): TreeShape {
  return random.chance(75)
    ? { finalityDepth: 2 + random.int(8), moves: 14, emptyPercent: 30 }
    : { finalityDepth: 65, moves: 9, emptyPercent: 75 };
}

/** What a tree did, so that a run can show that it was worth its time. */
export interface Growth {
  blocks: number;
  deepest: number;
}

/**
 * Moves a node's head about: onwards one by one or by leaps, onto branches that fork off as deep as finality allows, between heads that
 * compete or flap, back to an older block and on from there; meanwhile the node falls silent or refuses to answer.
 */
export async function grow(
  source: ModelSource,
  random: Random,
  shape: TreeShape,
  restart: () => void,
): Promise<Growth> {
  const tree = new Tree(source, random, shape);
  // Long enough that the deepest fork has something to fork off from.
  tree.leap(shape.finalityDepth);
  for (let move = 0; move < shape.moves; move++) {
    source.deaf = random.chance(15);
    source.failing = random.chance(6);
    if (random.chance(12)) restart();
    await tree.move();
    // Mostly time enough for the follower to see what happened; now and then it is overtaken.
    await turns(random.chance(70) ? 40 + random.int(4 * shape.finalityDepth) : random.int(12));
  }
  source.deaf = false;
  source.failing = false;
  // Above everything that ever was a head, so that it can't look like a node that is behind.
  const { highest } = tree;
  while (source.tip.fetched.header.number <= highest) tree.onwards(1);
  return tree.growth;
}

async function turns(count: number): Promise<void> {
  for (let left = count; left > 0; left--) await new Promise((resolve) => setImmediate(resolve));
}

class Tree {
  highest = 0n;
  readonly growth: Growth = { blocks: 0, deepest: 0 };

  constructor(
    private readonly source: ModelSource,
    private readonly random: Random,
    private readonly shape: TreeShape,
  ) {}

  async move(): Promise<void> {
    const { random } = this;
    const dice = random.int(100);
    if (dice < 30) this.onwards(1 + random.int(4));
    else if (dice < 38) this.leap(8 + random.int(30));
    else if (dice < 60) this.fork(this.depth(4));
    else if (dice < 75) this.fork(this.depth(this.shape.finalityDepth - 1));
    else if (dice < 88) await this.compete();
    else await this.fallBack();
  }

  /** Each block is announced, or several come at once. */
  onwards(count: number): void {
    let next = this.source.tip;
    for (let left = count; left > 0; left--) {
      next = this.block(next);
      if (this.random.chance(70)) this.head(next);
    }
    this.head(next);
  }

  leap(count: number): void {
    this.head(this.branch(this.source.tip, count));
  }

  /** Another branch takes over, mostly a longer one. */
  private fork(depth: number): void {
    const longer = this.random.chance(85) ? 1 + this.random.int(3) : -this.random.int(Math.min(depth, 3));
    this.head(this.branch(this.ancestor(depth), Math.max(1, depth + longer)));
  }

  /** Two branches from one block, the head now on one, now on the other; both grow, or neither does. */
  private async compete(): Promise<void> {
    const { random } = this;
    const base = this.ancestor(this.depth(6));
    const tips = [this.branch(base, 1 + random.int(4)), this.branch(base, 1 + random.int(4))] as [
      ModelBlock,
      ModelBlock,
    ];
    const growing = random.chance(50);
    for (let round = 2 + random.int(8); round > 0; round--) {
      const side = round % 2;
      if (base.fetched.header.number < this.lowest) return;
      if (growing) tips[side] = this.block(tips[side] as ModelBlock);
      this.head(tips[side] as ModelBlock);
      await turns(random.int(40));
    }
  }

  /** The node restarts from an older state, and seals on from there or finds its blocks again. */
  private async fallBack(): Promise<void> {
    const { random } = this;
    const before = this.source.tip;
    const older = this.ancestor(this.depth(this.shape.finalityDepth - 1));
    this.head(older);
    await turns(random.int(40));
    this.head(random.chance(50) ? before : this.branch(older, 1 + random.int(5)));
  }

  private head(block: ModelBlock): void {
    const { number } = block.fetched.header;
    if (number > this.highest) this.highest = number;
    this.source.setHead(block);
  }

  /** What a follower may hold as final, and no branch may fork off below. */
  private get lowest(): bigint {
    const final = this.highest - BigInt(this.shape.finalityDepth) + 1n;
    return final > 0n ? final : 0n;
  }

  private depth(most: number): number {
    return 1 + this.random.int(Math.max(most, 1));
  }

  /** At most so deep below the head, and never below what a follower may hold as final. */
  private ancestor(depth: number): ModelBlock {
    const path = pathTo(this.source.tip);
    const number = Math.min(path.length - 1, Math.max(Number(this.lowest), path.length - 1 - depth));
    this.growth.deepest = Math.max(this.growth.deepest, path.length - 1 - number);
    return path[number] as ModelBlock;
  }

  private branch(base: ModelBlock, length: number): ModelBlock {
    let tip = base;
    for (let left = length; left > 0; left--) tip = this.block(tip);
    return tip;
  }

  private block(parent: ModelBlock): ModelBlock {
    this.growth.blocks++;
    return randomBlock(parent, this.random, this.shape.emptyPercent);
  }
}
