import { Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';

export interface CursorRow {
  network: string;
  number: string;
  final_number: string;
  sequence: string;
  stopped_reason: string | null;
}

@Injectable()
export class NetworkStore {
  constructor(private readonly database: DataSource) {}

  /** How far the mirror has come, per network it has begun with. */
  cursors(): Promise<CursorRow[]> {
    return this.database.query('SELECT network, number, final_number, sequence, stopped_reason FROM mirror.cursor');
  }
}
