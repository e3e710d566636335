/** The one commit that may be under way, and what comes right after it, while the next one is prepared. */
export class Commits {
  private last: Promise<void> = Promise.resolve();

  /** Resolves when what began last is done. @throws what it throws, or one before it */
  done(): Promise<void> {
    return this.last;
  }

  /** What is to see what is being committed. @throws as `done` */
  async afterwards<T>(work: () => Promise<T>): Promise<T> {
    await this.last;
    return work();
  }

  /** Begins when what began last is done; never, when that failed. */
  begin(work: () => Promise<void>): void {
    this.last = this.last.then(work);
    this.last.catch(() => undefined); // thrown to whoever waits for it
  }
}
