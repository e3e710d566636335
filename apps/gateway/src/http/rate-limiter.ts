/** Clients remembered at most; the least recently begun window is forgotten first. */
const MOST_CLIENTS = 50_000;

/** Counts per client in windows of fixed length, in this process. Replicas count each for itself. */
export class RateLimiter {
  readonly #windows = new Map<string, { count: number; endsAt: number }>();

  constructor(
    private readonly limit: number,
    private readonly windowMs = 60_000,
    private readonly now: () => number = Date.now,
  ) {}

  /** Counts one. @returns undefined when it may pass, else the seconds to wait. */
  take(client: string): number | undefined {
    const window = this.#windowOf(client);
    window.count++;
    return window.count > this.limit ? this.#secondsLeft(window) : undefined;
  }

  /** Seconds to wait when the client has already used up its window; counts nothing. */
  exhausted(client: string): number | undefined {
    const window = this.#windows.get(client);
    if (!window || window.endsAt <= this.now() || window.count < this.limit) return undefined;
    return this.#secondsLeft(window);
  }

  #secondsLeft(window: { endsAt: number }): number {
    return Math.max(1, Math.ceil((window.endsAt - this.now()) / 1000));
  }

  #windowOf(client: string): { count: number; endsAt: number } {
    const known = this.#windows.get(client);
    if (known && known.endsAt > this.now()) return known;
    this.#windows.delete(client);
    if (this.#windows.size >= MOST_CLIENTS) {
      for (const oldest of this.#windows.keys()) {
        this.#windows.delete(oldest);
        break;
      }
    }
    const fresh = { count: 0, endsAt: this.now() + this.windowMs };
    this.#windows.set(client, fresh);
    return fresh;
  }
}
