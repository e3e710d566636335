import { z } from 'zod';
import { address20 } from '../http/fields.js';
import { pageQuery, pageSchema } from '../http/page.js';

export const teamMemberSchema = z
  .object({ actor: address20, subject: z.string().nullable().describe('null: no actor of this gateway any more.') })
  .meta({ id: 'TeamMember' });
export type TeamMemberBody = z.output<typeof teamMemberSchema>;

export const teamMemberPageSchema = pageSchema(teamMemberSchema, 'TeamMemberPage');
export const teamMemberQuery = z.strictObject(pageQuery);
export type TeamMemberQuery = z.output<typeof teamMemberQuery>;

export const membershipSchema = z
  .strictObject({ actor: address20.describe('Address of an actor of this hospital.') })
  .meta({ id: 'TeamMembership' });
export type Membership = z.output<typeof membershipSchema>;
