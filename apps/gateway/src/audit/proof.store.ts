import { Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';

/** A final event, and where it stands in its block. */
export interface ProvableEvent {
  sequence: string;
  recordId: Buffer;
  blockNumber: string;
  blockHash: Buffer;
  transactionHash: Buffer;
  transactionIndex: number;
  receiptsRoot: Buffer;
  /** Four topics of 32 bytes, joined. */
  topics: Buffer;
  data: Buffer;
  finalNumber: string;
}

/** A sequenced event's log, as far as heads are made of it. */
export interface EventLog {
  transactionIndex: number;
  topics: Buffer;
  data: Buffer;
}

@Injectable()
export class ProofStore {
  constructor(private readonly dataSource: DataSource) {}

  async event(network: string, sequence: string): Promise<ProvableEvent | undefined> {
    const rows: ProvableEvent[] = await this.dataSource.query(
      `SELECT e.sequence, e.record_id AS "recordId", e.block_number AS "blockNumber", e.block_hash AS "blockHash",
         e.transaction_hash AS "transactionHash", e.transaction_index AS "transactionIndex", b.receipts_root AS "receiptsRoot",
         e.topics, e.data, u.final_number AS "finalNumber"
       FROM mirror.emr_event e JOIN mirror.cursor u USING (network)
       JOIN mirror.block b ON b.network = e.network AND b.number = e.block_number
       WHERE e.network = $1 AND e.sequence = $2 AND e.block_number <= u.final_number`,
      [network, sequence],
    );
    return rows[0];
  }

  /** The ledger's sequence and head before block `number`. */
  async before(network: string, number: string): Promise<{ sequence: string; head: Buffer } | undefined> {
    const rows: { sequence: string; head: Buffer }[] = await this.dataSource.query(
      'SELECT sequence, head FROM mirror.block WHERE network = $1 AND number < $2 ORDER BY number DESC LIMIT 1',
      [network, number],
    );
    return rows[0];
  }

  /** Events of block `number` in order. */
  eventsOf(network: string, number: string): Promise<EventLog[]> {
    return this.dataSource.query(
      `SELECT transaction_index AS "transactionIndex", topics, data FROM mirror.emr_event
       WHERE network = $1 AND block_number = $2 ORDER BY sequence`,
      [network, number],
    );
  }

  /** The first checkpoint at block `number` or later that is final. */
  async checkpointFrom(network: string, number: string, finalNumber: string): Promise<string | undefined> {
    const rows: { number: string }[] = await this.dataSource.query(
      `SELECT block_number AS number FROM mirror.checkpoint
       WHERE network = $1 AND block_number BETWEEN $2 AND $3 ORDER BY block_number LIMIT 1`,
      [network, number, finalNumber],
    );
    return rows[0]?.number;
  }

  /** RLP of the headers from..through, both included. */
  async headers(network: string, from: string, through: string): Promise<{ hash: Buffer; header: Buffer }[]> {
    return this.dataSource.query(
      'SELECT hash, header FROM mirror.block WHERE network = $1 AND number BETWEEN $2 AND $3 ORDER BY number',
      [network, from, through],
    );
  }

  /** Events of a record up to block `through`, in order, as many as `limit`; those that the ledger counts for it. */
  historyOf(network: string, recordId: Buffer, through: string, limit: number): Promise<EventLog[]> {
    return this.dataSource.query(
      `SELECT transaction_index AS "transactionIndex", topics, data FROM mirror.emr_event
       WHERE record_id = $2 AND network = $1 AND record_sequence > 0 AND block_number <= $3 ORDER BY sequence LIMIT $4`,
      [network, recordId, through, limit],
    );
  }

  /** The last final block. */
  async finalBlock(network: string): Promise<{ number: string; hash: Buffer; header: Buffer } | undefined> {
    const rows: { number: string; hash: Buffer; header: Buffer }[] = await this.dataSource.query(
      `SELECT b.number, b.hash, b.header FROM mirror.cursor u JOIN mirror.block b ON b.network = u.network AND b.number = u.final_number
       WHERE u.network = $1`,
      [network],
    );
    return rows[0];
  }
}
