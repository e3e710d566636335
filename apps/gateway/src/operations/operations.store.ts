import { Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { binaryArray } from '../../../../libs/database/src/binary-array.js';
import { pooled } from '../../../../libs/database/src/transaction.js';
import { Grouped } from '../../../../libs/platform/src/grouped.js';

interface ActName {
  network: string;
  requestId: Buffer;
}

// One look-up by key for each name, whatever the planner thinks of the table's size.
const KNOWN = {
  name: 'operations-known',
  text: `SELECT q.network, q.request_id FROM unnest($1::text[], $2::bytea[]) AS q(network, request_id)
    WHERE (SELECT true FROM gateway.operation o WHERE o.network = q.network AND o.request_id = q.request_id LIMIT 1)`,
};

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
    const rows = await pooled(this.database)<{ network: string; request_id: Buffer }>(KNOWN, [
      binaryArray(
        'text',
        names.map(({ network }) => network),
      ),
      binaryArray(
        'bytea',
        names.map(({ requestId }) => requestId),
      ),
    ]);
    const found = new Set(rows.map((row) => keyOf(row.network, row.request_id)));
    return names.map(({ network, requestId }) => found.has(keyOf(network, requestId)));
  }
}

function keyOf(network: string, requestId: Buffer): string {
  return `${network} ${requestId.toString('latin1')}`;
}
