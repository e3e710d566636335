import { defineTable, type RowOf } from '../commit/table.js';
import type { PlacedEvent } from '../verify/ledger.fold.js';
import { assertContinuesRecord, type RecordState, recordStateAfter } from '../verify/record.chain.js';
import { type Projection, present } from './projection.js';

const table = defineTable(
  'record',
  {
    recordId: 'bytea',
    custodian: 'int8',
    version: 'int4',
    contentHash: 'bytea',
    level: 'int2',
    subject: 'bytea',
    status: 'text',
    frozenBy: 'bytea?',
    origin: 'bytea?',
    openedRequestId: 'bytea',
    openedAt: 'int8',
    recordSequence: 'int8',
    recordHead: 'bytea',
  },
  ['recordId'],
);
type Record = RowOf<typeof table.columns>;

const NONE = Buffer.alloc(32);

/** Each record as it stands. Every event of a record passes here, looks and refusals too: they move its own sequence and head. */
export const records: Projection<typeof table.columns> = {
  table,
  // A refusal on a record that doesn't exist has record sequence 0.
  keyOf: (event) => (event.recordSequence === 0n ? undefined : [event.recordId]),
  // Never: a second "first" event of a record must be noticed.
  begins: () => false,
  verify: assertContinuesRecord,
  apply: (previous, placed) => change(previous, placed, recordStateAfter(placed)),
};

function change(previous: Record | undefined, placed: PlacedEvent, state: RecordState): Record {
  const { event, block } = placed;
  if (event.type === 'RecordOpened') {
    return {
      recordId: event.recordId,
      custodian: BigInt(event.hospital),
      version: event.version,
      contentHash: event.contentHash,
      level: event.level,
      subject: event.subject,
      status: 'open',
      frozenBy: null,
      origin: event.origin.equals(NONE) ? null : event.origin,
      openedRequestId: event.requestId,
      openedAt: block.time,
      ...state,
    };
  }
  const record = { ...present(previous, placed), ...state };
  switch (event.type) {
    case 'RecordAmended':
      return { ...record, version: event.version, contentHash: event.contentHash };
    case 'RecordClosed':
      return { ...record, status: 'closed' };
    case 'RecordReopened':
      return { ...record, status: 'open' };
    case 'RecordFrozen':
      return { ...record, frozenBy: event.transferId };
    case 'RecordUnfrozen':
      return { ...record, frozenBy: null };
    default:
      return record;
  }
}
