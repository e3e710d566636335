import type pg from 'pg';
import type { DataSource, EntityManager } from 'typeorm';
import { pooled, queryOf } from '../../../database/src/transaction.js';
import type { Failpoint } from './failpoint.js';
import { insertOperations, type NamedOperation, named } from './operation.insert.js';
import type { Accepted, NewOperation } from './operation.types.js';

/** Rows one commit carries at most: beyond it a commit takes longer than it saves. */
const MAX_ROWS = 200;
const COMMITS_IN_FLIGHT = 2;

interface Waiting {
  operation: NamedOperation;
  resolve(accepted: Accepted): void;
  reject(error: unknown): void;
}

export interface AcceptorOptions {
  dataSource: DataSource;
  /** Takes an act to store and sign it at once; undefined where it is to be accepted first. See SubmissionWorker.offer. */
  offer?(operation: NamedOperation): Promise<Accepted> | undefined;
  /** Called once per commit that stored something new, after it. */
  onAccepted(network: string, count: number): void;
  failpoint: Failpoint;
}

/**
 * Stores acts. Requests that come together share a commit: one is begun whenever fewer than two are in flight, so a lone request
 * never waits and a crowd pays for few commits. What an act is called on chain (network, requestId) is unique: a repeat gives the
 * operation of the first time.
 */
export class Acceptor {
  private readonly waiting: Waiting[] = [];
  private inFlight = 0;

  constructor(private readonly options: AcceptorOptions) {}

  /**
   * Resolves once the act is durably stored.
   * @throws IdempotencyMismatch when the requestId stands for a request with another body hash
   * @throws Error of the driver; after a lost connection it is unknown whether the act was stored: ask again with the same key
   */
  accept(operation: NewOperation): Promise<Accepted> {
    const one = named(operation);
    return this.options.offer?.(one) ?? this.store(one);
  }

  /** Stores an act as accepted, without asking whether it could be signed at once. */
  store(operation: NamedOperation): Promise<Accepted> {
    return new Promise((resolve, reject) => {
      this.waiting.push({ operation, resolve, reject });
      this.flush();
    });
  }

  /**
   * Stores acts that belong together, and whatever `inSameCommit` writes, in one commit of their own; all or nothing. For a
   * complete replay `inSameCommit` isn't called: its rows were stored with the acts the first time.
   * @throws as `accept`, and whatever `inSameCommit` throws
   */
  async acceptWith(
    operations: NewOperation[],
    inSameCommit: (manager: EntityManager) => Promise<void>,
  ): Promise<Accepted[]> {
    const accepted = await this.options.dataSource.transaction(async (manager) => {
      const client = (await manager.queryRunner!.connect()) as pg.ClientBase;
      const stored = await insertOperations(operations.map(named), queryOf(client));
      const results = stored.map((result) => {
        if (result instanceof Error) throw result;
        return result;
      });
      if (results.some(({ replayed }) => !replayed)) await inSameCommit(manager);
      this.options.failpoint('before-accept-commit');
      return results;
    });
    this.announce(accepted);
    return accepted;
  }

  private flush(): void {
    if (this.inFlight >= COMMITS_IN_FLIGHT || this.waiting.length === 0) return;
    const batch = this.waiting.splice(0, MAX_ROWS);
    this.inFlight += 1;
    void this.commit(batch).finally(() => {
      this.inFlight -= 1;
      this.flush();
    });
  }

  private async commit(batch: Waiting[]): Promise<void> {
    try {
      this.options.failpoint('before-accept-commit');
      const operations = batch.map(({ operation }) => operation);
      const results = await insertOperations(operations, pooled(this.options.dataSource));
      this.announce(results.filter((result) => !(result instanceof Error)) as Accepted[]);
      results.forEach((result, index) => {
        if (result instanceof Error) batch[index]!.reject(result);
        else batch[index]!.resolve(result);
      });
    } catch (error) {
      // One act that doesn't fit the table must not fail its neighbours.
      if (batch.length > 1 && isAboutData(error)) await Promise.all(batch.map((one) => this.commit([one])));
      else for (const { reject } of batch) reject(error);
    }
  }

  private announce(accepted: Accepted[]): void {
    const counts = new Map<string, number>();
    for (const { operation, replayed } of accepted) {
      if (!replayed) counts.set(operation.network, (counts.get(operation.network) ?? 0) + 1);
    }
    if (counts.size > 0) this.options.failpoint('after-accept-commit');
    for (const [network, count] of counts) this.options.onAccepted(network, count);
  }
}

/** SQLSTATE classes 22 (data) and 23 (constraints), and deadlocks between commits that repeat the same keys. */
function isAboutData(error: unknown): boolean {
  const code = (error as { code?: unknown }).code;
  return typeof code === 'string' && /^(22|23|40P01)/.test(code);
}
