import { setImmediate as others } from 'node:timers/promises';
import type { VerifiedBlock } from '../verify/block.verifier.js';
import type { ChainSource, FetchedBlock, Head, Position } from './chain-source.js';

interface Order {
  blocks: Promise<VerifiedBlock[]>;
  /** Here and verified, so that taking it needs no wait and can't fail. */
  ready: boolean;
}

// Blocks near the head are asked for one by one, as they are announced. Farther behind, by ranges: the fewer ahead, the fuller they are.
const ANNOUNCED_AHEAD = 64;
const RANGES_AHEAD = { least: 2, most: 4 };
// What is under way is in memory, and nobody knows how full the next blocks are: after empty ones may come a thousand events each.
const LARGEST_RANGE = 64;
// What one commit takes at most, so that memory and the time of a commit stay bounded.
const LOGS_PER_PAGE = 1_000;
const BLOCKS_PER_PAGE = 512;
// Each range gives way after so long: a page that is being committed goes several times between here and the database, and waits for a turn.
const LONGEST_TURN_MS = 4;

/**
 * Blocks on their way, in chain order: the next ones are fetched and verified while earlier ones are being committed, so that many small
 * blocks share a commit when the chain is faster than the database.
 */
export class Prefetch {
  private orders: Order[] = [];
  /** Blocks of the next order. One, until it is known how full they are. */
  private range = 1;
  /** Ranges under way beyond the one that is waited for. */
  private ahead = RANGES_AHEAD.least;
  /** Where the ranges lead to. */
  private target: Position | undefined;

  constructor(
    private readonly source: ChainSource,
    private readonly verify: (block: FetchedBlock) => VerifiedBlock,
    /** The last block that was ordered, or the tip. */
    private planned: Position,
  ) {}

  get empty(): boolean {
    return this.orders.length === 0;
  }

  /** Forgets what was ordered: the chain went another way. */
  reset(tip: Position): void {
    this.orders = [];
    this.planned = tip;
    this.target = undefined;
  }

  /** A head that follows on what was ordered last is ordered at once. */
  announce(head: Head): void {
    if (!head.parentHash.equals(this.planned.hash) || this.orders.length >= ANNOUNCED_AHEAD) return;
    this.planned = head;
    this.order(this.source.blockByHash(head).then((block) => (block ? [block] : [])));
  }

  /** Orders ranges up to `target`, as many as may be ahead. */
  plan(target: Position): void {
    this.target = target;
    while (this.planned.number < target.number && this.orders.length < this.ahead) {
      const from = this.planned.number + 1n;
      const last = from + BigInt(this.range) - 1n;
      const to = last < target.number ? last : target.number;
      // Its hash is known once it is here; until then nothing can be announced on it, unless it is the target itself.
      this.planned = to === target.number ? target : { number: to, hash: UNKNOWN };
      this.order(this.source.blocksByNumber(from, to));
    }
  }

  /**
   * Waits for the next order, and takes along what else has arrived. Blocks may fail to link where the chain moved meanwhile; none at
   * all means that the node no longer has them.
   * @throws MismatchError, RpcError
   */
  async take(): Promise<VerifiedBlock[]> {
    const page: VerifiedBlock[] = [];
    let logs = 0;
    do {
      const { blocks } = this.orders.shift() as Order;
      // At once, so that the node works on while this page is committed.
      if (this.target) this.plan(this.target);
      for (const block of await blocks) {
        page.push(block);
        for (const transaction of block.transactions) logs += transaction.logCount;
      }
    } while (this.orders[0]?.ready && page.length < BLOCKS_PER_PAGE && logs < LOGS_PER_PAGE);
    this.adapt(page.length, logs);
    return page;
  }

  private order(fetched: Promise<FetchedBlock[]>): void {
    const order: Order = { blocks: fetched.then((blocks) => verifyLeading(blocks, this.verify)), ready: false };
    order.blocks.then(
      () => {
        order.ready = true;
      },
      () => undefined, // thrown where the order is taken
    );
    this.orders.push(order);
  }

  /** Pages of empty blocks grow, pages of full ones shrink. */
  private adapt(blocks: number, logs: number): void {
    const perBlock = logs / Math.max(blocks, 1);
    const fitting = Math.floor(LOGS_PER_PAGE / 2 / Math.max(perBlock, 1));
    this.range = Math.max(1, Math.min(LARGEST_RANGE, this.range * 2, fitting));
    const inTwoPages = Math.floor((2 * LOGS_PER_PAGE) / Math.max(this.range * perBlock, 1));
    this.ahead = Math.max(RANGES_AHEAD.least, Math.min(RANGES_AHEAD.most, inTwoPages));
  }
}

const UNKNOWN = Buffer.alloc(0);

/**
 * The blocks before the first that can't be believed, which is then the first of the next order: so that one lie in a range keeps nothing back
 * of what comes before it. @throws MismatchError when it is the first already
 */
async function verifyLeading(
  blocks: readonly FetchedBlock[],
  verify: (block: FetchedBlock) => VerifiedBlock,
): Promise<VerifiedBlock[]> {
  const verified: VerifiedBlock[] = [];
  let since = performance.now();
  for (const block of blocks) {
    if (performance.now() - since > LONGEST_TURN_MS) {
      await others();
      since = performance.now();
    }
    try {
      verified.push(verify(block));
    } catch (error) {
      if (verified.length === 0) throw error;
      break;
    }
  }
  return verified;
}
