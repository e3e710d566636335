import { defineTable } from '../commit/table.js';
import { type Projection, present, unexpected } from './projection.js';

const table = defineTable(
  'relation',
  {
    recordId: 'bytea',
    party: 'bytea',
    until: 'int8',
    startedRequestId: 'bytea',
    startedAt: 'int8',
    endedAt: 'int8?',
  },
  ['recordId', 'party'],
);

/** Care relations of actors and teams to records. The opener gains one with the opening itself. */
export const relations: Projection<typeof table.columns> = {
  table,
  keyOf(event) {
    switch (event.type) {
      case 'RecordOpened':
        return [event.recordId, event.actor];
      case 'RelationStarted':
      case 'RelationEnded':
        return [event.recordId, event.party];
      default:
        return undefined;
    }
  },
  begins: (event) => event.type !== 'RelationEnded',
  apply(previous, placed) {
    const { event, block } = placed;
    switch (event.type) {
      case 'RecordOpened':
      case 'RelationStarted':
        return {
          recordId: event.recordId,
          party: event.type === 'RecordOpened' ? event.actor : event.party,
          until: event.type === 'RecordOpened' ? 0n : event.until,
          startedRequestId: event.requestId,
          startedAt: block.time,
          endedAt: null,
        };
      case 'RelationEnded':
        return { ...present(previous, placed), endedAt: block.time };
      default:
        throw unexpected(event);
    }
  },
};
