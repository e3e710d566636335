import { Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';

export interface RelationRow {
  network: string;
  recordId: Buffer;
  party: Buffer;
  /** Unix seconds; 0: without end. */
  until: number;
  startedAt: number;
  endedAt: number | null;
}

@Injectable()
export class RelationsStore {
  constructor(private readonly dataSource: DataSource) {}

  /** The relation that the act with this request id started, also when it has ended since. */
  async find(requestId: Buffer): Promise<RelationRow | undefined> {
    const rows: RelationRow[] = await this.dataSource.query(
      `SELECT network, record_id AS "recordId", party, until::float8 AS until, started_at::float8 AS "startedAt",
         ended_at::float8 AS "endedAt"
       FROM mirror.relation WHERE started_request_id = $1`,
      [requestId],
    );
    return rows[0];
  }
}
