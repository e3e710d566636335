import type { PoolClient } from 'pg';
import type { PlacedEvent } from '../verify/ledger.fold.js';

/** A partition is made so long before its month begins, unix seconds. */
const AHEAD = 7n * 86_400n;

/** Months for which a mirror that keeps its events by month has a table. Does nothing for one that keeps them in one table. */
export class EventPartitions {
  private partitioned = false;
  private readonly made = new Set<string>();

  /** @param client searches the mirror's schema */
  constructor(private readonly client: PoolClient) {}

  /** Looks which of the two this mirror is. */
  async load(): Promise<void> {
    const { rows } = await this.client.query<{ partitioned: boolean }>(
      `SELECT relkind = 'p' AS partitioned FROM pg_class WHERE oid = 'emr_event'::regclass`,
    );
    this.partitioned = rows[0]?.partitioned ?? false;
    this.forget();
  }

  /** Makes what is missing for these events, which are in order, and for the month that comes next. */
  async cover(events: readonly PlacedEvent[]): Promise<void> {
    const [first, last] = [events[0], events.at(-1)];
    if (!this.partitioned || !first || !last) return;
    // Month by month, as a chain may have been silent for some.
    for (let time = first.block.time; time < last.block.time; time += AHEAD) await this.make(time);
    await this.make(last.block.time);
    await this.make(last.block.time + AHEAD);
  }

  /** After a transaction that may have made one was rolled back. */
  forget(): void {
    this.made.clear();
  }

  private async make(time: bigint): Promise<void> {
    const month = new Date(Number(time) * 1000).toISOString().slice(0, 7);
    if (this.made.has(month)) return;
    await this.client.query(`SELECT make_event_partition('emr_event', $1)`, [time.toString()]);
    this.made.add(month);
  }
}
