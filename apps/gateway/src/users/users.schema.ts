import { z } from 'zod';
import { roleNames } from '../auth/caller.js';
import { instant } from '../http/fields.js';
import { pageQuery, pageSchema } from '../http/page.js';

const username = z
  .string()
  .regex(/^[a-z0-9][a-z0-9._-]{0,63}$/, 'lower-case letters, digits, dots, hyphens and underscores, 64 at most')
  .meta({ example: 'clinician.a' });
const roles = z
  .array(z.enum(roleNames))
  .min(1)
  .max(roleNames.length)
  .meta({ example: ['clinician'] });

export const userSchema = z
  .object({ username, roles: z.array(z.enum(roleNames)), disabled: z.boolean(), createdAt: instant })
  .meta({ id: 'User' });
export type UserBody = z.output<typeof userSchema>;

export const userPageSchema = pageSchema(userSchema, 'UserPage');
export const userQuery = z.strictObject(pageQuery);
export type UserQuery = z.output<typeof userQuery>;

export const newUserSchema = z
  .strictObject({
    username,
    password: z.string().min(12).max(256).meta({ example: 'at least twelve characters' }),
    roles,
  })
  .meta({ id: 'NewUser' });
export type NewUser = z.output<typeof newUserSchema>;

/** The name stands in the body: it may be a person's, and URLs end up in logs. */
export const namedUserSchema = z.strictObject({ username }).meta({ id: 'NamedUser' });
export type NamedUser = z.output<typeof namedUserSchema>;
