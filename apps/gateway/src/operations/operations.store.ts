import { Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { Grouped } from '../../../../libs/platform/src/grouped.js';

interface ActName {
  network: string;
  requestId: Buffer;
}

@Injectable()
export class OperationsStore {
  // Every act asks this before it is built; those who ask together share a query.
  readonly #known = new Grouped<ActName, boolean>((names) => this.#areKnown(names));

  constructor(private readonly database: DataSource) {}

  /** Whether an act of this name was accepted before. */
  isKnown(network: string, requestId: Buffer): Promise<boolean> {
    return this.#known.add({ network, requestId });
  }

  async #areKnown(names: ActName[]): Promise<boolean[]> {
    const rows: { network: string; request_id: Buffer }[] = await this.database.query(
      `SELECT network, request_id FROM gateway.operation
       WHERE (network, request_id) IN (SELECT * FROM unnest($1::text[], $2::bytea[]))`,
      [names.map(({ network }) => network), names.map(({ requestId }) => requestId)],
    );
    const found = new Set(rows.map((row) => keyOf(row.network, row.request_id)));
    return names.map(({ network, requestId }) => found.has(keyOf(network, requestId)));
  }
}

function keyOf(network: string, requestId: Buffer): string {
  return `${network} ${requestId.toString('latin1')}`;
}
