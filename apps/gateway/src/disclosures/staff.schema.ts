import { z } from 'zod';
import { address20 } from '../http/fields.js';

/** Somebody who looked, as the reader may know them. */
export const staffSchema = z
  .object({
    id: z
      .string()
      .describe('The same for the same person wherever you read it; means nothing to anybody else.')
      .meta({ example: 'st_5f0c1f6a2d7b4e9c8a3d5e7f90112233' }),
    self: z.boolean().describe('You yourself.'),
    roles: z
      .array(z.string())
      .describe(
        'On the ledger, now; empty for who acts on no record: auditors, administrators, another hospital as such.',
      )
      .meta({ example: ['clinician'] }),
    team: address20.nullable().describe('The team on whose relation to the record the look stood.'),
    name: z.string().optional().describe('Log-in name; only where this hospital shows it, and for its own staff.'),
    address: address20.optional().describe('On the ledger; for officers.'),
  })
  .meta({ id: 'Staff' });
export type Staff = z.output<typeof staffSchema>;
