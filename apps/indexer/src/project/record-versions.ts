import { defineTable } from '../commit/table.js';
import { type Projection, unexpected } from './projection.js';

const table = defineTable(
  'record_version',
  {
    recordId: 'bytea',
    version: 'int4',
    contentHash: 'bytea',
    requestId: 'bytea',
    actor: 'bytea',
    createdAt: 'int8',
  },
  ['recordId', 'version'],
);

/** What each version of a record held, and who wrote it. */
export const recordVersions: Projection<typeof table.columns> = {
  table,
  keyOf: (event) =>
    event.type === 'RecordOpened' || event.type === 'RecordAmended' ? [event.recordId, event.version] : undefined,
  begins: () => true,
  apply(_previous, { event, block }) {
    if (event.type !== 'RecordOpened' && event.type !== 'RecordAmended') throw unexpected(event);
    return {
      recordId: event.recordId,
      version: event.version,
      contentHash: event.contentHash,
      requestId: event.requestId,
      actor: event.actor,
      createdAt: block.time,
    };
  },
};
