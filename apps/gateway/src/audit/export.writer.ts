import { createHash } from 'node:crypto';
import { toHex } from '../../../../libs/platform/src/bytes.js';
import { foldHead, leafOf, ZERO_HEAD } from '../../../../libs/proof/src/head.js';
import type { EventRow } from './audit.store.js';
import { type ExportFormat, exportHead, exportLine } from './export.rows.js';
import type { ExportPlan, PlannedNetwork } from './export.store.js';

/** What a manifest says of one network's rows. */
export interface NetworkTotals {
  rows: bigint;
  first: bigint | null;
  last: bigint | null;
  previousHead: Buffer | null;
  head: Buffer | null;
}

const WORD = 32;

/** Turns events into the bytes of an export, and keeps the totals that its manifest needs. Holds no row. */
export class ExportWriter {
  readonly #hash = createHash('sha256');
  bytes = 0n;

  constructor(
    private readonly format: ExportFormat,
    private readonly kind: ExportPlan['kind'],
  ) {}

  begin(): Buffer {
    return this.#count(exportHead(this.format));
  }

  /** Before the first row of a network. */
  totalsFor(network: PlannedNetwork): NetworkTotals {
    const whole = this.kind === 'whole' ? Buffer.from(network.previousHead.slice(2), 'hex') : null;
    const start = this.kind === 'record' ? ZERO_HEAD : whole;
    return { rows: 0n, first: null, last: null, previousHead: start, head: start };
  }

  /** Changes `totals`. */
  write(rows: readonly EventRow[], totals: NetworkTotals): Buffer {
    let text = '';
    for (const row of rows) {
      const leaf = leafOf({ topics: [row.topics], data: row.data });
      this.#link(row, leaf, totals);
      text += exportLine(this.format, row, leaf);
    }
    return this.#count(text);
  }

  sha256(): string {
    return toHex(this.#hash.digest());
  }

  #link(row: EventRow, leaf: Buffer, totals: NetworkTotals): void {
    totals.rows++;
    // Events that named the record before the ledger knew it have no place in its chain.
    const sequence = BigInt(this.kind === 'record' ? row.recordSequence : row.sequence);
    if (this.kind === 'record' && sequence === 0n) return;
    if (totals.first === null) {
      totals.first = sequence;
      if (this.kind === 'record') {
        totals.previousHead = Buffer.from(row.data.subarray(2 * WORD, 3 * WORD));
        totals.head = totals.previousHead;
      }
    }
    totals.last = sequence;
    if (totals.head) totals.head = foldHead(totals.head, sequence, leaf);
  }

  #count(text: string): Buffer {
    const bytes = Buffer.from(text, 'latin1'); // hex, digits and names in ASCII
    this.#hash.update(bytes);
    this.bytes += BigInt(bytes.length);
    return bytes;
  }
}
