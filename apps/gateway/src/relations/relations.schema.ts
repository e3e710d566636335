import { z } from 'zod';
import { address20, hash32, instant } from '../http/fields.js';

/** Ends of lengths that the ledger counts in uint32 seconds. */
export const seconds = z.int().min(1).max(0xffff_ffff);

export const party = z.union([z.strictObject({ actor: address20 }), z.strictObject({ team: address20 })]);

export const relationSchema = z
  .strictObject({
    party: party.describe('Who cares for the patient.'),
    durationSeconds: seconds.optional().describe('Default: without end.'),
  })
  .meta({ id: 'StartRelation', examples: [{ party: { actor: `0x${'2b'.repeat(20)}` }, durationSeconds: 604800 }] });
export type RelationBody = z.output<typeof relationSchema>;

export const relationViewSchema = z
  .object({
    id: hash32,
    recordId: hash32,
    network: z.string().meta({ example: 'local' }),
    party: address20.describe('Actor or team.'),
    startedAt: instant,
    until: instant.nullable().describe('null: without end.'),
    endedAt: instant.nullable(),
    state: z.enum(['active', 'expired', 'ended']),
  })
  .meta({ id: 'Relation' });
export type RelationView = z.output<typeof relationViewSchema>;

/** Ending takes no members; the body may be left out. */
export const endingSchema = z
  .strictObject({})
  .optional()
  .meta({ id: 'EndRelation', examples: [{}] });
