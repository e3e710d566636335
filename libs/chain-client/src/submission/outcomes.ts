import type { DataSource } from 'typeorm';
import { reasonName } from '../../../contracts/src/operations.js';
import { type Listener, listen } from '../../../database/src/listen.js';
import { rowsOf } from '../../../database/src/transaction.js';
import type { Logger } from '../../../platform/src/logger.js';
import { eventId, type OperationReader } from './operation.reader.js';
import { endStates, type OperationOutcome, type OperationView } from './operation.types.js';

export interface MirrorCommit {
  network: string;
  /** Tip of the mirror. */
  number: bigint;
  /** Last final block. */
  finalNumber: bigint;
  /** Of the ledger, at the tip. */
  sequence: bigint;
}

export interface OutcomesOptions {
  dataSource: DataSource;
  databaseUrl: string;
  reader: OperationReader;
  hospitalId: number;
  logger: Logger;
  /** Told of each commit of the mirror, before the waiters of its events are. */
  onCommit?(commit: MirrorCommit): void;
}

interface Waiter {
  resolve(outcome: OperationOutcome | undefined): void;
  since: number;
}

interface FinalEvent {
  sequence: string;
  request_id: Buffer;
  type: string;
  outcome: number;
  block_number: string;
  block_hash: Buffer;
  transaction_hash: Buffer;
  nonce: string | null;
  /** Caused by bytes of ours: else the request id may stand for another act, of before the database was lost. */
  ours: boolean;
}

/** State of one network: who waits for what, and up to where events were read. */
class Watch {
  readonly waiters = new Map<string, Set<Waiter>>();
  /** Request ids that were never looked up. */
  fresh: Buffer[] = [];
  lastSequence: bigint | undefined;
  commit: MirrorCommit | undefined;
  reading = false;
  checking = false;
  rechecking = false;
}

const CHANNEL = 'mirror_commit';
const PAGE = 5_000;
const RECHECK_MS = 1_000;

// Read by sequence alone: IS TRUE keeps the planner from the index by block, which is the whole chain. Inclusion and ownership are those
// of the transaction: asked once for each, not for every act in it.
const FINAL_EVENTS = {
  name: 'outcomes-final-events',
  text: `WITH events AS MATERIALIZED (
      SELECT e.sequence, e.request_id, e.type, e.outcome, e.block_number, e.block_hash, e.transaction_hash
      FROM mirror.emr_event e
      WHERE e.network = $1 AND e.sequence > $2 AND (e.block_number <= $3 AND e.hospital = $4) IS TRUE
      ORDER BY e.sequence LIMIT ${PAGE}
    ), carriers AS MATERIALIZED (
      SELECT c.transaction_hash,
        (SELECT i.nonce FROM mirror.inclusion i WHERE i.network = $1 AND i.transaction_hash = c.transaction_hash LIMIT 1) AS nonce,
        (SELECT true FROM gateway.attempt a WHERE a.hash = c.transaction_hash LIMIT 1) IS TRUE AS ours
      FROM (SELECT DISTINCT transaction_hash FROM events) c
    )
    SELECT events.*, carriers.nonce, carriers.ours FROM events JOIN carriers USING (transaction_hash) ORDER BY sequence`,
};

/**
 * Tells how operations end. One connection listens for the indexer's commits; each commit leads to one query for the events that
 * became final since the last, however many wait. A message that got lost is made good by looking again every second.
 */
export class Outcomes {
  private readonly watches = new Map<string, Watch>();
  private listener: Listener | undefined;
  private timer: NodeJS.Timeout | undefined;
  private stopped = false;

  constructor(private readonly options: OutcomesOptions) {}

  async start(): Promise<void> {
    this.listener = await listen(this.options.databaseUrl, [CHANNEL], {
      onMessage: (_channel, payload) => this.onMessage(payload),
      onConnect: () => this.recheckAll(0),
      onError: (error) =>
        this.options.logger.warn({ err: error }, 'The connection that listens for the mirror was lost.'),
    });
    this.timer = setInterval(() => this.recheckAll(RECHECK_MS), RECHECK_MS);
  }

  async stop(): Promise<void> {
    this.stopped = true;
    clearInterval(this.timer);
    await this.listener?.close();
    for (const watch of this.watches.values()) {
      for (const waiters of watch.waiters.values()) for (const waiter of waiters) waiter.resolve(undefined);
      watch.waiters.clear();
    }
  }

  /**
   * Resolves when the operation has ended (confirmed, denied, failed, cancelled), or with undefined after `timeoutMs` or when
   * this process stops. An operation that ended long ago resolves too.
   * @param since 'now' when it was accepted in this very turn, so that looking whether it has ended already would be in vain
   */
  waitFor(
    network: string,
    requestId: Buffer,
    timeoutMs: number,
    since: 'now' | 'earlier' = 'earlier',
  ): Promise<OperationOutcome | undefined> {
    if (this.stopped || timeoutMs <= 0) return Promise.resolve(undefined);
    const watch = this.watchOf(network);
    const key = keyOf(requestId);
    return new Promise((resolve) => {
      const waiters = watch.waiters.get(key) ?? new Set();
      watch.waiters.set(key, waiters);
      const waiter: Waiter = {
        since: Date.now(),
        resolve: (outcome) => {
          clearTimeout(timer);
          waiters.delete(waiter);
          if (waiters.size === 0 && watch.waiters.get(key) === waiters) watch.waiters.delete(key);
          resolve(outcome);
        },
      };
      const timer = setTimeout(() => waiter.resolve(undefined), timeoutMs);
      waiters.add(waiter);
      if (since === 'now') return;
      watch.fresh.push(requestId);
      void this.checkFresh(network, watch);
    });
  }

  private watchOf(network: string): Watch {
    let watch = this.watches.get(network);
    if (watch === undefined) {
      watch = new Watch();
      this.watches.set(network, watch);
    }
    return watch;
  }

  private onMessage(payload: string): void {
    let commit: MirrorCommit;
    try {
      const message = JSON.parse(payload) as Record<keyof MirrorCommit, string>;
      const { network, number, finalNumber, sequence } = message;
      commit = { network, number: BigInt(number), finalNumber: BigInt(finalNumber), sequence: BigInt(sequence) };
    } catch (error) {
      this.options.logger.warn({ err: error }, 'A message about the mirror could not be read.');
      return;
    }
    const watch = this.watchOf(commit.network);
    watch.commit = commit;
    this.options.onCommit?.(commit);
    void this.readEvents(watch);
  }

  /** Reads what became final since the last time; commits that come meanwhile are covered by one more round. */
  private async readEvents(watch: Watch): Promise<void> {
    if (watch.reading) return;
    watch.reading = true;
    try {
      while (watch.commit !== undefined) {
        const commit = watch.commit;
        watch.commit = undefined;
        // Nobody waits. Where reading resumes: at once behind this commit, or, where its last blocks aren't final, to be found out.
        if (watch.waiters.size === 0) {
          watch.lastSequence = commit.number === commit.finalNumber ? commit.sequence : undefined;
        } else await this.readPages(watch, commit);
      }
    } catch (error) {
      watch.lastSequence = undefined;
      this.options.logger.warn({ err: error }, 'Final events could not be read; those who wait are looked up again.');
    } finally {
      watch.reading = false;
    }
  }

  private async readPages(watch: Watch, commit: MirrorCommit): Promise<void> {
    // After a pause the waiting acts themselves are looked up once; from then on each commit's events are read by sequence.
    if (watch.lastSequence === undefined) {
      watch.lastSequence = await this.finalSequence(commit);
      await this.check(commit.network, watch, 0);
      return;
    }
    for (;;) {
      const events: FinalEvent[] = await rowsOf<FinalEvent>(this.options.dataSource, FINAL_EVENTS, [
        commit.network,
        String(watch.lastSequence),
        String(commit.finalNumber),
        this.options.hospitalId,
      ]);
      for (const event of events) {
        // The reader tells whether it is theirs all the same, at the next look.
        if (!event.ours) continue;
        const waiters = watch.waiters.get(keyOf(event.request_id));
        if (waiters !== undefined) for (const waiter of [...waiters]) waiter.resolve(outcomeOf(commit, event));
      }
      const last = events.at(-1);
      if (last !== undefined) watch.lastSequence = BigInt(last.sequence);
      if (events.length < PAGE) return;
    }
  }

  private async finalSequence(commit: MirrorCommit): Promise<bigint> {
    const [row]: { sequence: string }[] = await this.options.dataSource.query(
      `SELECT coalesce((SELECT sequence FROM mirror.emr_event WHERE network = $1 AND block_number <= $2
         ORDER BY sequence DESC LIMIT 1), 0) AS sequence`,
      [commit.network, String(commit.finalNumber)],
    );
    return BigInt(row!.sequence);
  }

  /** Acts that ended before anybody waited for them. Those who come together are looked up together. */
  private async checkFresh(network: string, watch: Watch): Promise<void> {
    if (watch.checking) return;
    watch.checking = true;
    await Promise.resolve();
    try {
      while (watch.fresh.length > 0) {
        const ended = await this.mayHaveEnded(network, watch.fresh.splice(0, 1_000));
        if (ended.length > 0) await this.lookUp(network, watch, ended);
      }
    } catch (error) {
      this.options.logger.warn(
        { err: error, network },
        'Waiting acts could not be looked up; tried again in a second.',
      );
    } finally {
      watch.checking = false;
    }
  }

  /** Cheap, as nearly every act is waited for before it ends. */
  private async mayHaveEnded(network: string, requestIds: Buffer[]): Promise<Buffer[]> {
    const rows: { request_id: Buffer }[] = await this.options.dataSource.query(
      `SELECT request_id FROM mirror.emr_event WHERE network = $1 AND request_id = ANY($2)
       UNION SELECT request_id FROM gateway.operation
       WHERE network = $1 AND request_id = ANY($2) AND phase IN ('failed', 'cancelled')`,
      [network, requestIds],
    );
    return rows.map((row) => row.request_id);
  }

  private recheckAll(olderThanMs: number): void {
    for (const [network, watch] of this.watches) {
      // A database that is slow to answer isn't helped by being asked the same again.
      if (watch.rechecking) continue;
      watch.rechecking = true;
      this.check(network, watch, olderThanMs)
        .catch((error: unknown) => {
          this.options.logger.warn(
            { err: error, network },
            'Waiting acts could not be looked up; tried again in a second.',
          );
        })
        .finally(() => {
          watch.rechecking = false;
        });
    }
  }

  private async check(network: string, watch: Watch, olderThanMs: number): Promise<void> {
    const until = Date.now() - olderThanMs;
    const due: Buffer[] = [];
    for (const [key, waiters] of watch.waiters) {
      for (const { since } of waiters) {
        if (since > until) continue;
        due.push(Buffer.from(key, 'latin1'));
        break;
      }
    }
    for (let at = 0; at < due.length; at += 500) await this.lookUp(network, watch, due.slice(at, at + 500));
  }

  private async lookUp(network: string, watch: Watch, requestIds: Buffer[]): Promise<void> {
    const views = await this.options.reader.byRequestIds(network, requestIds);
    for (const view of views) {
      if (view === undefined || !endStates.has(view.state)) continue;
      const waiters = watch.waiters.get(keyOf(view.requestId));
      if (waiters !== undefined) for (const waiter of [...waiters]) waiter.resolve(endOf(view));
    }
  }
}

function keyOf(requestId: Buffer): string {
  return requestId.toString('latin1');
}

function outcomeOf(commit: MirrorCommit, event: FinalEvent): OperationOutcome {
  const denied = event.type === 'AccessDenied';
  const blockNumber = BigInt(event.block_number);
  return {
    network: commit.network,
    requestId: event.request_id,
    state: denied ? 'denied' : 'confirmed',
    transaction: {
      hash: event.transaction_hash,
      nonce: Number(event.nonce ?? 0),
      blockNumber,
      blockHash: event.block_hash,
      confirmations: Number(commit.number - blockNumber) + 1,
    },
    event: eventId(commit.network, event.sequence),
    outcome: { code: denied ? reasonName(event.outcome) : 'OK' },
  };
}

function endOf(view: OperationView): OperationOutcome {
  return {
    network: view.network,
    requestId: view.requestId,
    state: view.state as OperationOutcome['state'],
    ...(view.transaction === undefined ? {} : { transaction: view.transaction }),
    ...(view.event === undefined ? {} : { event: view.event }),
    outcome: view.outcome ?? { code: 'OK' },
  };
}
