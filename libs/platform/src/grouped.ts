interface Waiting<I, O> {
  item: I;
  resolve: (result: O) => void;
  reject: (error: unknown) => void;
}

/**
 * Turns many calls into few: what arrives while `inFlight` groups are under way travels together in the next one. There is no timer:
 * a lone call leaves at once, and groups grow by themselves under load.
 */
export class Grouped<I, O> {
  readonly #waiting: Waiting<I, O>[] = [];
  #flying = 0;

  /**
   * @param run answers each item, in order. When it throws, every call of the group fails alike.
   * @param limits groups under way at once, and items of one group at most
   */
  constructor(
    private readonly run: (items: I[]) => Promise<O[]>,
    private readonly limits: { inFlight: number; most: number } = { inFlight: 2, most: 256 },
  ) {}

  add(item: I): Promise<O> {
    return new Promise<O>((resolve, reject) => {
      this.#waiting.push({ item, resolve, reject });
      this.#flush();
    });
  }

  #flush(): void {
    if (this.#flying >= this.limits.inFlight || this.#waiting.length === 0) return;
    const group = this.#waiting.splice(0, this.limits.most);
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
