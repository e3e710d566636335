import { z } from 'zod';
import { roleNames } from '../auth/caller.js';
import { address20 } from '../http/fields.js';
import { pageQuery, pageSchema } from '../http/page.js';

export const actorSchema = z
  .object({
    address: address20,
    issuer: z.string(),
    subject: z.string().meta({ example: 'clinician.a' }),
    custody: z.enum(['gateway', 'self']),
    /** As the local ledger has them; empty before the registration is in the mirror. */
    roles: z.array(z.enum(roleNames)),
    status: z.enum(['unregistered', 'active', 'suspended']),
    createdAt: z.string(),
  })
  .meta({ id: 'Actor' });
export type ActorBody = z.output<typeof actorSchema>;

export const actorPageSchema = pageSchema(actorSchema, 'ActorPage');
export const actorQuery = z.strictObject(pageQuery);
export type ActorQuery = z.output<typeof actorQuery>;

export const registrationSchema = z
  .strictObject({
    /** Who vouches for the subject; default: the built-in issuer. */
    issuer: z.string().min(1).max(512).optional(),
    /** The `sub` of their tokens: the user name, with the built-in issuer. */
    subject: z.string().min(1).max(255).meta({ example: 'clinician.a' }),
    roles: z
      .array(z.enum(roleNames))
      .min(1)
      .max(roleNames.length)
      .meta({ example: ['clinician'] }),
    /** Address of a key the actor keeps; without it the gateway makes and keeps one. */
    address: address20.optional(),
  })
  .meta({ id: 'ActorRegistration' });
export type Registration = z.output<typeof registrationSchema>;
