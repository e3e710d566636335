import type { Signer } from '../keys/signer.js';
import type { NamedOperation } from './operation.insert.js';
import type { Accepted } from './operation.types.js';
import type { SubmissionNetwork } from './submission.network.js';

/** An act that came and isn't stored yet: whoever asked for it waits for `resolve`. */
export interface Held {
  operation: NamedOperation;
  resolve(accepted: Accepted | Promise<Accepted>): void;
  reject(error: unknown): void;
}

/** Acts held at most; who comes beyond is asked to come back later. About what a second carries. */
export const MOST_HELD = 1_000;
/** Without a transaction mined for this long, acts are held no longer but stored as accepted. */
const STALL_MS = 250;

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
  readonly #held: Held[] = [];
  #stall: NodeJS.Timeout | undefined;

  constructor(
    readonly network: SubmissionNetwork,
    readonly signer: Signer,
  ) {}

  get held(): number {
    return this.#held.length;
  }

  /** Whether there is something to do now. */
  get wanted(): boolean {
    return this.again || (this.#held.length > 0 && !this.full);
  }

  hold(one: Held): void {
    this.#held.push(one);
  }

  /** The oldest `most` held, those of higher priority first. */
  take(most: number): Held[] {
    if (this.#held.some(({ operation }) => operation.priority)) {
      this.#held.sort((a, b) => (b.operation.priority ?? 0) - (a.operation.priority ?? 0));
    }
    return this.#held.splice(0, most);
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
      giveOut(this.take(Number.POSITIVE_INFINITY));
    }, STALL_MS);
  }
}
