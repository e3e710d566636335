import type { Signer } from '../keys/signer.js';
import type { DirectSigning } from './direct.js';
import { Gate } from './gate.js';
import type { NamedOperation } from './operation.insert.js';
import type { Accepted } from './operation.types.js';
import type { Outgoing } from './signing.js';
import type { SubmissionNetwork } from './submission.network.js';

/** An act that came and isn't stored yet: whoever asked for it waits for `resolve`. */
export interface Held {
  operation: NamedOperation;
  /** When it came, ms of `performance.now()`. */
  since: number;
  resolve(accepted: Accepted | Promise<Accepted>): void;
  reject(error: unknown): void;
}

/** Acts held at most; who comes beyond is asked to come back later. About what a second carries. */
export const MOST_HELD = 1_000;
/** Without a transaction mined for this long, acts are held no longer but stored as accepted. */
const STALL_MS = 250;
/** Each transaction has its price: the next is made when so many acts are held, or the oldest was for so long. */
const ENOUGH = 64;
/** While a stored one waits to be sent, ms. */
const GATHER_MS = 16;
/** While another process signs with the same key too, ms: half as many come to each, and each makes fewer, larger ones. */
const GATHER_SHARED_MS = 60;

/** What waits for one signer, and what it waits for itself. */
export class Line {
  /** The table may hold acts that wait. */
  again = false;
  /** Those acts wait for transactions to be mined. */
  blocked = false;
  /** The held ones do. */
  full = false;
  /** Nothing is held until something was mined again. */
  stalled = false;
  /** How often blocks were mined. */
  mined = 0;
  running: Promise<void> | undefined;
  /** Stored, in nonce order, and not handed to the node yet. */
  outgoing: Outgoing[] = [];
  readonly gate = new Gate();
  sending: Promise<void> | undefined;
  readonly #held: Held[] = [];
  #stall: NodeJS.Timeout | undefined;
  #gather: NodeJS.Timeout | undefined;

  constructor(
    readonly network: SubmissionNetwork,
    readonly signer: Signer,
    /** Absent where the key is elsewhere: acts are stored first, and signed then. */
    readonly direct: DirectSigning | undefined,
  ) {}

  get held(): number {
    return this.#held.length;
  }

  /** Whether there is something to do now. */
  get wanted(): boolean {
    return this.again || (this.#held.length > 0 && !this.full && this.#gatherMs() <= 0);
  }

  /** How long those held are to wait for more, ms. */
  #gatherMs(): number {
    const [oldest] = this.#held;
    if (oldest === undefined || this.#held.length >= ENOUGH) return 0;
    const shared = this.direct?.shared ?? false;
    if (!shared && this.outgoing.length === 0) return 0;
    return oldest.since + (shared ? GATHER_SHARED_MS : GATHER_MS) - performance.now();
  }

  /** Calls back when those held have waited long enough for more to come. */
  watchForMore(onEnough: () => void): void {
    if (this.#held.length === 0 || this.full || this.#gather !== undefined) return;
    this.#gather = setTimeout(() => {
      this.#gather = undefined;
      onEnough();
    }, Math.ceil(this.#gatherMs()));
  }

  hold(one: Held): void {
    this.#held.push(one);
  }

  /** The oldest `most` held (default all), those of higher priority first. */
  take(most = Number.POSITIVE_INFINITY): Held[] {
    if (this.#held.some(({ operation }) => operation.priority)) {
      this.#held.sort((a, b) => (b.operation.priority ?? 0) - (a.operation.priority ?? 0));
    }
    return this.#held.splice(0, most);
  }

  /** As `take`, one of each key: a key that comes twice at once is a replay, and is found as one when the first of them is stored. */
  takeOfEachKey(most: number): Held[] {
    const group = new Map<string, Held>();
    const again: Held[] = [];
    for (const one of this.take(most)) {
      const key = one.operation.requestId.toString('latin1');
      if (group.has(key)) again.push(one);
      else group.set(key, one);
    }
    this.putBack(again);
    return [...group.values()];
  }

  /** Those taken, for whom there was no room. */
  putBack(held: readonly Held[]): void {
    this.#held.unshift(...held);
  }

  /** Blocks were mined. @returns whether somebody waited for that */
  onMined(): boolean {
    this.mined += 1;
    this.stalled = false;
    const waited = this.blocked || this.full;
    if (this.blocked) this.again = true;
    this.full = false;
    return waited;
  }

  /** Gives out what is held when nothing moves for a while. */
  watchForStall(giveOut: (held: Held[]) => void): void {
    if (this.#held.length === 0 || this.#stall !== undefined) return;
    const seen = this.mined;
    this.#stall = setTimeout(() => {
      this.#stall = undefined;
      if (this.mined !== seen) return this.watchForStall(giveOut);
      this.stalled = true;
      giveOut(this.take());
    }, STALL_MS);
  }
}
