import { z } from 'zod';
import { contentId } from '../contents/contents.schema.js';
import { address20, hash32, instant } from '../http/fields.js';
import { pageQuery, pageSchema } from '../http/page.js';
import { purposeName } from '../queries/queries.schema.js';
import { party, seconds } from '../relations/relations.schema.js';

export const grantSchema = z
  .strictObject({
    hospital: z.int().min(1).max(0xffff_ffff).optional().describe("The grantee's hospital; default: this one."),
    grantee: party.optional().describe('Default: any actor of that hospital.'),
    operations: z
      .array(z.enum(['query']))
      .min(1)
      .max(1)
      .default(['query']),
    purpose: purposeName.optional().describe('Default: any purpose.'),
    startsInSeconds: z.int().min(0).max(0xffff_ffff).default(0),
    durationSeconds: seconds.optional().describe('From its start; default: without end.'),
    consent: z
      .union([z.strictObject({ contentId }), z.strictObject({ hash: hash32 })])
      .optional()
      .describe(
        "The subject's consent, as an uploaded document or the hash of one kept elsewhere. A privacy officer needs it.",
      ),
  })
  .meta({
    id: 'GrantAccess',
    examples: [
      { hospital: 2, purpose: 'TREAT', durationSeconds: 2592000, consent: { contentId: `ct_${'0c'.repeat(16)}` } },
    ],
  });
export type GrantBody = z.output<typeof grantSchema>;

/** Reasons and their codes on the ledger; codes are for ever. */
export const revocationReasons = {
  'subject-request': 1,
  'purpose-ended': 2,
  'granted-in-error': 3,
  other: 99,
} as const;
export const revocationSchema = z
  .strictObject({
    reason: z.enum(Object.keys(revocationReasons) as [keyof typeof revocationReasons]).default('subject-request'),
  })
  .meta({ id: 'RevokeGrant', examples: [{ reason: 'subject-request' }] });
export type RevocationBody = z.output<typeof revocationSchema>;

export const grantViewSchema = z
  .object({
    id: hash32,
    recordId: hash32,
    network: z.string().meta({ example: 'global' }),
    hospital: z.int().meta({ example: 2 }),
    grantee: address20.nullable().describe('Actor or team; null: any actor of the hospital.'),
    operations: z.array(z.string()).meta({ example: ['query'] }),
    purpose: z.string().nullable().meta({ example: 'TREAT' }),
    notBefore: instant,
    notAfter: instant.nullable(),
    consentHash: hash32.nullable(),
    grantedBy: address20,
    grantedAt: instant,
    revokedAt: instant.nullable(),
    state: z.enum(['scheduled', 'active', 'expired', 'revoked']),
  })
  .meta({ id: 'Grant' });
export type GrantView = z.output<typeof grantViewSchema>;
export const grantPageSchema = pageSchema(grantViewSchema, 'GrantPage');
export const grantListQuery = z.strictObject(pageQuery);
export type GrantListQuery = z.output<typeof grantListQuery>;
