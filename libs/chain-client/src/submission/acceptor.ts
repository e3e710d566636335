import type { DataSource, EntityManager } from 'typeorm';
import type { Failpoint } from './failpoint.js';
import { newOperationId } from './operation.id.js';
import { OPERATION_COLUMNS, type OperationRecord, operationOf } from './operation.rows.js';
import { type Accepted, IdempotencyMismatch, type NewOperation } from './operation.types.js';

/** Rows one commit carries at most: beyond it a commit takes longer than it saves. */
const MAX_ROWS = 200;
const COMMITS_IN_FLIGHT = 2;

type Execute = <T>(sql: string, parameters: unknown[]) => Promise<T[]>;

interface Waiting {
  operation: NewOperation;
  resolve(accepted: Accepted): void;
  reject(error: unknown): void;
}

export interface AcceptorOptions {
  dataSource: DataSource;
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
      const stored = await store(operations, (sql, parameters) => manager.query(sql, parameters));
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
      const results = await store(
        batch.map(({ operation }) => operation),
        (sql, parameters) => this.options.dataSource.query(sql, parameters),
      );
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

/** One statement for all rows; rows that were there already are read and compared. Outcomes are in the order of `operations`. */
async function store(operations: NewOperation[], execute: Execute): Promise<(Accepted | IdempotencyMismatch)[]> {
  const ids = operations.map(({ id }) => id ?? newOperationId());
  const column = <K extends keyof NewOperation>(key: K, otherwise: NewOperation[K] | null = null) =>
    operations.map((operation) => operation[key] ?? otherwise);
  const inserted = await execute<OperationRecord>(
    `INSERT INTO gateway.operation (id, request_id, network, body_hash, principal, type, code, actor, record_id, parameters,
       deadline, auth_context, signature, auth_evidence, parent_id, priority)
     SELECT * FROM unnest($1::text[], $2::bytea[], $3::text[], $4::bytea[], $5::bytea[], $6::text[], $7::smallint[], $8::bytea[],
       $9::bytea[], $10::bytea[], $11::bigint[], $12::bytea[], $13::bytea[], $14::bytea[], $15::text[], $16::smallint[])
     ON CONFLICT (network, request_id) DO NOTHING
     RETURNING ${OPERATION_COLUMNS}`,
    [
      ids,
      column('requestId'),
      column('network'),
      column('bodyHash'),
      column('principal'),
      column('type'),
      column('code'),
      column('actor'),
      column('recordId'),
      column('parameters'),
      column('deadline'),
      column('authContext'),
      column('signature'),
      column('authEvidence'),
      column('parentId'),
      column('priority', 0),
    ],
  );
  const found = new Map(inserted.map((record) => [keyOf(record.network, record.request_id), record]));
  const missing = operations.filter(({ network, requestId }) => !found.has(keyOf(network, requestId)));
  if (missing.length > 0) {
    const existing = await execute<OperationRecord>(
      `SELECT ${OPERATION_COLUMNS} FROM gateway.operation
       WHERE (network, request_id) IN (SELECT * FROM unnest($1::text[], $2::bytea[]))`,
      [missing.map(({ network }) => network), missing.map(({ requestId }) => requestId)],
    );
    for (const record of existing) found.set(keyOf(record.network, record.request_id), record);
  }
  return operations.map((operation, index) => {
    const record = found.get(keyOf(operation.network, operation.requestId));
    if (record === undefined) throw new Error('An act was neither stored nor found.');
    const replayed = record.id !== ids[index];
    if (!record.body_hash.equals(operation.bodyHash)) return new IdempotencyMismatch(record.id);
    return { operation: operationOf(record), replayed };
  });
}

function keyOf(network: string, requestId: Buffer): string {
  return `${network} ${requestId.toString('latin1')}`;
}

/** SQLSTATE classes 22 (data) and 23 (constraints), and deadlocks between commits that repeat the same keys. */
function isAboutData(error: unknown): boolean {
  const code = (error as { code?: unknown }).code;
  return typeof code === 'string' && /^(22|23|40P01)/.test(code);
}
