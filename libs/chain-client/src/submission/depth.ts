import type { DataSource } from 'typeorm';
import { rowsOf } from '../../../database/src/transaction.js';

const REFRESH_MS = 1_000;

/** How many acts wait to be signed, per network: counted along in memory, set right by the table every second. */
export class Depth {
  private readonly counts = new Map<string, number>();
  private timer: NodeJS.Timeout | undefined;

  constructor(private readonly dataSource: DataSource) {}

  of(network: string): number {
    return this.counts.get(network) ?? 0;
  }

  add(network: string, by: number): void {
    this.counts.set(network, Math.max(0, this.of(network) + by));
  }

  start(): void {
    this.timer = setInterval(() => void this.refresh(), REFRESH_MS);
  }

  stop(): void {
    clearInterval(this.timer);
  }

  /** Keeps the last figures when the database is out of reach. */
  async refresh(): Promise<void> {
    try {
      const rows = await rowsOf<{ network: string; waiting: number }>(
        this.dataSource,
        `SELECT network, count(*)::int AS waiting FROM gateway.operation WHERE phase = 'accepted' GROUP BY network`,
      );
      this.counts.clear();
      for (const { network, waiting } of rows) this.counts.set(network, waiting);
    } catch {
      // The next refresh tells.
    }
  }
}
