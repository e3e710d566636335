import { Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';

export interface AccessLogEntry {
  principal: Buffer;
  actor?: Buffer;
  kind: string;
  recordId?: Buffer;
  requestId?: Buffer;
  detail?: Record<string, unknown>;
}

@Injectable()
export class AccessLogStore {
  constructor(private readonly dataSource: DataSource) {}

  /** One commit for all of `entries`. */
  async append(entries: readonly AccessLogEntry[]): Promise<undefined[]> {
    await this.dataSource.query(
      `INSERT INTO gateway.access_log (principal, actor, kind, record_id, request_id, detail)
       SELECT * FROM unnest($1::bytea[], $2::bytea[], $3::text[], $4::bytea[], $5::bytea[], $6::jsonb[])`,
      [
        entries.map((entry) => entry.principal),
        entries.map((entry) => entry.actor ?? null),
        entries.map((entry) => entry.kind),
        entries.map((entry) => entry.recordId ?? null),
        entries.map((entry) => entry.requestId ?? null),
        entries.map((entry) => JSON.stringify(entry.detail ?? {})),
      ],
    );
    return entries.map(() => undefined);
  }
}
