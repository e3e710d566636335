import { setTimeout as sleep } from 'node:timers/promises';
import type { VerifiedBlock } from '../verify/block.verifier.js';
import type { ChainSource, FetchedBlock, Head, Position } from './chain-source.js';
import { Prefetch } from './prefetch.js';
import { BeyondFinalityError, type Progress, WithheldError } from './progress.js';

export interface FollowerOptions {
  /** A block is final when tip − block + 1 ≥ this. */
  finalityDepth: number;
  /** How often the head is asked for even though the node announces heads: finds lost subscriptions and dead nodes. */
  pollMs?: number;
  /** Told the node's head whenever it is heard of. */
  onHead?: (head: Head) => void;
}

/** Blocks that a reorganisation's commit brings along at most; the rest follows as usual. */
const REPLACEMENT_BLOCKS = 128;
const SETTLE_MS = 25;
/** How often in a row a node may name a head and give nothing that leads there. Chains that move settle in one or two. */
const MOST_SETTLING = 40;

/** Follows one chain from a stored tip: yields what happened since, then what happens. It reads only; committing is the consumer's. */
export class Follower {
  constructor(
    private readonly source: ChainSource,
    private readonly verify: (block: FetchedBlock) => VerifiedBlock,
    /** Hash of the stored block of a number. */
    private readonly storedHash: (number: bigint) => Promise<Buffer | undefined>,
    private readonly options: FollowerOptions,
  ) {}

  /**
   * Ends when the signal is aborted.
   * @throws MismatchError or BeyondFinalityError when the node can't be believed; WithheldError, RpcError and others when trying again may
   *   help
   */
  async *follow(start: { tip: Position; finalNumber: bigint }, signal: AbortSignal): AsyncGenerator<Progress> {
    let { tip, finalNumber } = start;
    const prefetch = new Prefetch(this.source, this.verify, tip);
    const news = new HeadNews(this.source, this.options.pollMs ?? 1_000, (head) => {
      prefetch.announce(head);
      this.options.onHead?.(head);
    });
    const stop = () => news.wake();
    signal.addEventListener('abort', stop);
    try {
      let target = await news.start();
      let settling = 0;
      while (!signal.aborted) {
        target = news.latest() ?? target;
        if (prefetch.empty) {
          // What was ordered may have come back shorter than asked for.
          prefetch.reset(tip);
          prefetch.plan(target);
        }
        if (!prefetch.empty) {
          const taken = await prefetch.take();
          const blocks = linkedOn(tip, taken);
          if (blocks.length > 0) {
            const last = blocks.at(-1) as VerifiedBlock;
            const final = this.finalAfter(last.number, finalNumber);
            yield { type: 'block', blocks, finalNumber: final };
            settling = 0;
            tip = { number: last.number, hash: last.hash };
            if (final > finalNumber) {
              finalNumber = final;
              yield { type: 'final', number: final };
            }
            if (blocks.length === taken.length) {
              prefetch.plan(target);
              continue;
            }
          }
          prefetch.reset(tip);
          target = await this.source.head();
        }
        if (await this.isStored(target, tip)) {
          settling = 0;
          yield { type: 'level' };
          await news.next();
          continue;
        }
        const fork = await this.findFork(target, tip, finalNumber);
        if (fork === undefined) {
          // The chain moved while it was looked at, or simply goes on; or the node doesn't give what it says it has.
          if (++settling > MOST_SETTLING) throw new WithheldError(tip, target);
          if (settling > 1 || target.number <= tip.number) await sleep(SETTLE_MS);
          target = await this.source.head();
          continue;
        }
        const last = fork.blocks.at(-1) as VerifiedBlock;
        const final = this.finalAfter(last.number, finalNumber);
        yield { type: 'reorganisation', ...fork, finalNumber: final };
        settling = 0;
        tip = { number: last.number, hash: last.hash };
        prefetch.reset(tip);
        if (final > finalNumber) {
          finalNumber = final;
          yield { type: 'final', number: final };
        }
      }
    } finally {
      signal.removeEventListener('abort', stop);
      await news.stop();
    }
  }

  private finalAfter(tip: bigint, before: bigint): bigint {
    const final = tip - BigInt(this.options.finalityDepth) + 1n;
    return final > before ? final : before;
  }

  /** The head is the tip, or below it on the same chain: then the node is behind (restarting, healing), and we wait for it. */
  private async isStored(head: Position, tip: Position): Promise<boolean> {
    if (head.number > tip.number) return false;
    const stored = head.number === tip.number ? tip.hash : await this.storedHash(head.number);
    return stored?.equals(head.hash) ?? false;
  }

  /**
   * Walks back to the block that the stored chain and the node's have in common, and fetches what follows on it.
   * @returns undefined when there is no fork after all
   * @throws BeyondFinalityError
   */
  private async findFork(
    target: Position,
    tip: Position,
    finalNumber: bigint,
  ): Promise<{ ancestor: Position; blocks: VerifiedBlock[] } | undefined> {
    let above: Buffer | undefined;
    for (let number = lesser(target.number, tip.number); number >= 0n; number--) {
      const given = await this.source.hashAt(number);
      if (given === undefined) return undefined;
      const stored = number === tip.number ? tip.hash : await this.storedHash(number);
      if (stored === undefined) throw new Error(`Block ${number} is not stored, though it is below the tip.`);
      if (!stored.equals(given)) {
        if (number <= finalNumber) throw new BeyondFinalityError(number, stored, given);
        above = stored;
        continue;
      }
      if (number === tip.number) return undefined;
      const ancestor = { number, hash: stored };
      const to = lesser(target.number, number + BigInt(REPLACEMENT_BLOCKS));
      const fetched = await this.source.blocksByNumber(number + 1n, to);
      const blocks = linkedOn(ancestor, fetched.map(this.verify));
      // Given is what is stored: only the hashes spoke of another block. Nothing is set aside on a word that no block stands behind.
      if (above && blocks[0]?.hash.equals(above)) return undefined;
      // Partial: the chain moved again; what was fetched may be gone already.
      return blocks.length > 0 && blocks.length === fetched.length ? { ancestor, blocks } : undefined;
    }
    return undefined;
  }
}

function lesser(a: bigint, b: bigint): bigint {
  return a < b ? a : b;
}

/** The leading blocks that link to each other and to `parent`. */
function linkedOn(parent: Position, blocks: VerifiedBlock[]): VerifiedBlock[] {
  let previous = parent;
  for (const [index, block] of blocks.entries()) {
    if (block.number !== previous.number + 1n || !block.parentHash.equals(previous.hash)) return blocks.slice(0, index);
    previous = block;
  }
  return blocks;
}

/** The latest head heard of, by announcement or by asking. */
class HeadNews {
  private head: Head | undefined;
  private failure: unknown;
  private waiting: (() => void) | undefined;
  private watch: { close(): Promise<void> } | undefined;
  private timer: NodeJS.Timeout | undefined;
  private asking = false;

  constructor(
    private readonly source: ChainSource,
    private readonly pollMs: number,
    private readonly onHead: (head: Head) => void,
  ) {}

  async start(): Promise<Head> {
    const heard = (head: Head) => {
      this.onHead(head);
      this.head = head;
      this.wake();
    };
    this.watch = await this.source.watch(heard, () => void this.ask());
    this.timer = setInterval(() => void this.ask(), this.pollMs);
    const head = await this.source.head();
    this.onHead(head);
    return head;
  }

  /** What was heard since the last time. @throws when the node could not be asked */
  latest(): Head | undefined {
    if (this.failure !== undefined) throw this.failure;
    const { head } = this;
    this.head = undefined;
    return head;
  }

  async next(): Promise<void> {
    if (this.head !== undefined || this.failure !== undefined) return;
    await new Promise<void>((resolve) => {
      this.waiting = resolve;
    });
  }

  wake(): void {
    this.waiting?.();
    this.waiting = undefined;
  }

  async stop(): Promise<void> {
    clearInterval(this.timer);
    await this.watch?.close().catch(() => undefined);
  }

  private async ask(): Promise<void> {
    if (this.asking) return;
    this.asking = true;
    try {
      const head = await this.source.head();
      this.onHead(head);
      this.head = head;
    } catch (error) {
      this.failure = error;
    } finally {
      this.asking = false;
      this.wake();
    }
  }
}
