import { defineTable } from '../commit/table.js';
import { type Projection, unexpected } from './projection.js';

const table = defineTable('team_member', { hospital: 'int8', team: 'bytea', member: 'bytea' }, [
  'hospital',
  'team',
  'member',
]);

/** Who belongs to which team now. */
export const teamMembers: Projection<typeof table.columns> = {
  table,
  keyOf: (event) =>
    event.type === 'TeamMemberChanged' ? [BigInt(event.hospital), event.team, event.member] : undefined,
  begins: () => true,
  apply(_previous, { event }) {
    if (event.type !== 'TeamMemberChanged') throw unexpected(event);
    return event.active ? { hospital: BigInt(event.hospital), team: event.team, member: event.member } : undefined;
  },
};
