import { defineTable } from '../commit/table.js';
import { type Projection, present, unexpected } from './projection.js';

const table = defineTable(
  'actor',
  { address: 'bytea', hospital: 'int8', roles: 'int4', custody: 'int2', active: 'bool' },
  ['address'],
);

/** Who may act, and for which hospital. */
export const actors: Projection<typeof table.columns> = {
  table,
  keyOf: (event) =>
    event.type === 'ActorRegistered' || event.type === 'ActorStatusChanged' ? [event.account] : undefined,
  begins: (event) => event.type === 'ActorRegistered',
  apply(previous, placed) {
    const { event } = placed;
    switch (event.type) {
      case 'ActorRegistered':
        return {
          address: event.account,
          hospital: BigInt(event.hospital),
          roles: event.roles,
          custody: event.custody,
          active: true,
        };
      case 'ActorStatusChanged':
        return { ...present(previous, placed), active: event.active };
      default:
        throw unexpected(event);
    }
  },
};
