import { Injectable } from '@nestjs/common';
import pg from 'pg';
import { DataSource } from 'typeorm';
import { EVENT_COLUMNS, type EventRow } from './audit.store.js';
import { type EventFilter, filterSql } from './event-filter.sql.js';
import type { ExportFormat } from './export.rows.js';

/** What an export holds, fixed when it is asked for: final events don't change, so that its bytes are the same whenever they are made. */
export interface ExportPlan {
  /** As asked for, for the manifest. */
  asked: Record<string, unknown>;
  kind: 'whole' | 'record' | 'selection' | 'access-log';
  /** `filter` of the query, bytes as hex. */
  filter: Record<string, string | string[] | boolean | number>;
  networks: PlannedNetwork[];
  /** Of the access log: the last entry's sequence. */
  through?: string;
}

/** Sequences from (inclusive) to (exclusive), and the final block that was looked up to. Heads and hashes as hex. */
export interface PlannedNetwork {
  name: string;
  from: string;
  to: string;
  /** The ledger's head before `from`. */
  previousHead: string;
  through: { block: string; hash: string; sequence: string; head: string };
}

export interface ExportRow {
  id: Buffer;
  createdAt: Date;
  format: ExportFormat;
  plan: ExportPlan;
  manifest: string | null;
}

const ROWS_AT_ONCE = 500;
/** A reader that takes nothing for so long loses the export: its snapshot keeps Postgres from tidying up. */
const PATIENCE = '120s';

@Injectable()
export class ExportStore {
  constructor(private readonly dataSource: DataSource) {}

  async insert(row: Omit<ExportRow, 'manifest'> & { principal: Buffer }): Promise<void> {
    await this.dataSource.query(
      'INSERT INTO gateway.audit_export (id, created_at, principal, format, plan) VALUES ($1, $2, $3, $4, $5)',
      [row.id, row.createdAt, row.principal, row.format, JSON.stringify(row.plan)],
    );
  }

  async find(id: Buffer): Promise<ExportRow | undefined> {
    const rows: ExportRow[] = await this.dataSource.query(
      'SELECT id, created_at AS "createdAt", format, plan, manifest FROM gateway.audit_export WHERE id = $1',
      [id],
    );
    return rows[0];
  }

  async complete(id: Buffer, manifest: string): Promise<void> {
    await this.dataSource.query('UPDATE gateway.audit_export SET manifest = $2 WHERE id = $1 AND manifest IS NULL', [
      id,
      manifest,
    ]);
  }

  /**
   * A connection of its own with one snapshot, apart from the pool: an export may take long, and must not take a connection from requests. The
   * server looks now and then whether anybody is still there, so that a cursor ends with its reader.
   */
  async openSnapshot(): Promise<ExportSnapshot> {
    const { url } = this.dataSource.options as { url: string };
    const client = new pg.Client({ connectionString: url, application_name: 'emr-gateway-export', keepAlive: true });
    client.on('error', () => undefined); // the statement under way says it too
    await client.connect();
    await client.query(
      `BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = '120s';
       SET LOCAL idle_in_transaction_session_timeout = '${PATIENCE}'; SET LOCAL client_connection_check_interval = '2s'`,
    );
    return new ExportSnapshot(client);
  }
}

export class ExportSnapshot {
  constructor(private readonly client: pg.Client) {}

  async blockHash(network: string, number: string): Promise<Buffer | undefined> {
    const { rows } = await this.client.query<{ hash: Buffer }>(
      'SELECT hash FROM mirror.block WHERE network = $1 AND number = $2',
      [network, number],
    );
    return rows[0]?.hash;
  }

  /** Events in the order of their sequence, some at a time; the next ones are fetched once the reader asks for them. */
  async *events(range: { network: string; from: string; to: string }, filter: EventFilter): AsyncGenerator<EventRow[]> {
    const values: unknown[] = [range.network, range.from, range.to];
    const further = filterSql(filter, (it) => `$${values.push(it)}`, '$1');
    await this.client.query(
      `DECLARE export NO SCROLL CURSOR FOR SELECT ${EVENT_COLUMNS} FROM mirror.emr_event e
       WHERE e.network = $1 AND e.sequence >= $2 AND e.sequence < $3${further} ORDER BY e.sequence`,
      values,
    );
    for (;;) {
      const { rows } = await this.client.query<EventRow>(`FETCH ${ROWS_AT_ONCE} FROM export`);
      if (rows.length === 0) break;
      yield rows;
    }
    await this.client.query('CLOSE export');
  }

  close(): Promise<void> {
    return this.client.end();
  }
}
