import { operationName, purposeName, reasonName } from '../../../../libs/contracts/src/operations.js';
import { toHex } from '../../../../libs/platform/src/bytes.js';
import { toInstant } from '../http/fields.js';
import type { EventRow } from './audit.store.js';
import { csvLine } from './csv.js';

/** Members of an NDJSON row and columns of CSV, in this order. All values are strings, or null. */
export const EXPORT_COLUMNS = [
  'network',
  'sequence',
  'blockNumber',
  'blockHash',
  'time',
  'transactionHash',
  'logIndex',
  'type',
  'operation',
  'outcome',
  'purpose',
  'recordId',
  'recordSequence',
  'actor',
  'hospital',
  'requestId',
  'topics',
  'data',
  'leaf',
] as const;

const NONE = Buffer.alloc(32);

export type ExportFormat = 'ndjson' | 'csv';

/** What the file begins with. */
export function exportHead(format: ExportFormat): string {
  return format === 'csv' ? csvLine(EXPORT_COLUMNS) : '';
}

/** @param leaf of the row, what it adds to the heads */
export function exportLine(format: ExportFormat, row: EventRow, leaf: Buffer): string {
  const concerns = !row.recordId.equals(NONE);
  const cells = [
    row.network,
    row.sequence,
    row.blockNumber,
    toHex(row.blockHash),
    toInstant(row.blockTime),
    toHex(row.transactionHash),
    String(row.logIndex),
    row.type,
    operationName(row.operation),
    row.outcome === 0 ? 'OK' : reasonName(row.outcome),
    row.purpose === null ? null : purposeName(row.purpose),
    concerns ? toHex(row.recordId) : null,
    concerns ? row.recordSequence : null,
    toHex(row.actor),
    String(row.hospital),
    toHex(row.requestId),
    toHex(row.topics),
    toHex(row.data),
    toHex(leaf),
  ];
  if (format === 'csv') return csvLine(cells);
  // As JSON.stringify would write it: nothing in a value needs escaping.
  const members = cells.map((cell, index) => `"${EXPORT_COLUMNS[index]}":${cell === null ? 'null' : `"${cell}"`}`);
  return `{${members.join(',')}}\n`;
}
