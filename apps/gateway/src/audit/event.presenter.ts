import { decodeEvent } from '../../../../libs/contracts/src/event.codec.js';
import { operationName, purposeName, reasonName } from '../../../../libs/contracts/src/operations.js';
import { toHex } from '../../../../libs/platform/src/bytes.js';
import { toInstant } from '../http/fields.js';
import type { AuditEvent } from './audit.schema.js';
import type { EventRow } from './audit.store.js';

const FRAME = new Set([
  'type',
  'sequence',
  'recordId',
  'actor',
  'requestId',
  'recordSequence',
  'recordHead',
  'authContext',
  'hospital',
]);

export function presentEvent(row: EventRow): AuditEvent {
  const concerns = row.recordId.some((byte) => byte !== 0);
  return {
    id: `ev_${row.network}_${row.sequence}`,
    network: row.network,
    sequence: row.sequence,
    type: row.type,
    operation: operationName(row.operation),
    outcome: { code: row.outcome === 0 ? 'OK' : reasonName(row.outcome) },
    purpose: row.purpose === null ? null : purposeName(row.purpose),
    time: toInstant(row.blockTime),
    recordId: concerns ? toHex(row.recordId) : null,
    recordSequence: concerns ? row.recordSequence : null,
    actor: toHex(row.actor),
    hospital: row.hospital,
    requestId: toHex(row.requestId),
    block: { number: row.blockNumber, hash: toHex(row.blockHash) },
    transactionHash: toHex(row.transactionHash),
    logIndex: row.logIndex,
    details: detailsOf(row),
  };
}

/** The event's own fields, from the raw log; empty for an event this program doesn't know yet. */
function detailsOf({ topics, data }: EventRow): AuditEvent['details'] {
  const words = Array.from({ length: topics.length / 32 }, (_, index) => topics.subarray(32 * index, 32 * index + 32));
  const event = decodeEvent({ topics: words, data });
  const own = Object.entries(event ?? {}).filter(([name]) => !FRAME.has(name));
  return Object.fromEntries(own.map(([name, value]) => [name, plain(value)]));
}

function plain(value: unknown): string | number | boolean {
  if (Buffer.isBuffer(value)) return toHex(value);
  return typeof value === 'number' || typeof value === 'boolean' ? value : String(value);
}
