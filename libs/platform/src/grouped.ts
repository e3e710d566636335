interface Waiting<I, O> {
  item: I;
  resolve: (result: O) => void;
  reject: (error: unknown) => void;
}

export interface GroupLimits {
  /** Groups under way at once. */
  inFlight: number;
  /** Items of one group. */
  most: number;
  /** From when one of several items leaves until the next does, ms: so that whoever comes alone, one call after another, waits for nobody. Default 0. */
  apartMs?: number;
}

/**
 * Turns many calls into few: what arrives while `inFlight` groups are under way, or soon after one left, travels together in the next
 * one. A lone call leaves at once, and groups grow by themselves under load.
 */
export class Grouped<I, O> {
  readonly #waiting: Waiting<I, O>[] = [];
  #flying = 0;
  /** No group leaves before, ms of `performance.now()`. */
  #next = Number.NEGATIVE_INFINITY;
  #due: NodeJS.Timeout | undefined;

  /** @param run answers each item, in order. When it throws, every call of the group fails alike. */
  constructor(
    private readonly run: (items: I[]) => Promise<O[]>,
    private readonly limits: GroupLimits = { inFlight: 2, most: 256 },
  ) {}

  add(item: I): Promise<O> {
    return new Promise<O>((resolve, reject) => {
      this.#waiting.push({ item, resolve, reject });
      this.#flush();
    });
  }

  #flush(): void {
    const { inFlight, most, apartMs = 0 } = this.limits;
    if (this.#flying >= inFlight || this.#waiting.length === 0 || this.#due !== undefined) return;
    const now = performance.now();
    const early = this.#next - now;
    if (early > 0) {
      this.#due = setTimeout(() => {
        this.#due = undefined;
        this.#flush();
      }, Math.ceil(early));
      return;
    }
    const group = this.#waiting.splice(0, most);
    if (group.length > 1) this.#next = now + apartMs;
    this.#flying += 1;
    this.run(group.map(({ item }) => item))
      .then((results) => {
        if (results.length !== group.length) throw new Error(`${results.length} answers to ${group.length} items`);
        group.forEach(({ resolve }, index) => {
          resolve(results[index] as O);
        });
      })
      .catch((error: unknown) => {
        for (const { reject } of group) reject(error);
      })
      .finally(() => {
        this.#flying -= 1;
        this.#flush();
      });
  }
}
