import { z } from 'zod';
import { lookKinds } from '../audit/look.js';
import { hash32, instant } from '../http/fields.js';
import { pageQuery, pageSchema } from '../http/page.js';
import { hospitalSchema } from './disclosures.schema.js';
import { staffSchema } from './staff.schema.js';

const time = z.iso.datetime({ offset: true }).meta({ example: '2026-03-01T00:00:00.000Z' });

export const accessQuery = z.strictObject({
  from: time.optional().describe('Inclusive.'),
  to: time.optional().describe('Exclusive.'),
  ...pageQuery,
});
export type AccessQuery = z.output<typeof accessQuery>;

const accessSchema = z
  .object({
    id: z
      .string()
      .describe('Of the event on the ledger, or of the entry in the access log.')
      .meta({ example: 'ev_local_1234' }),
    kind: z
      .enum(['access-request', ...lookKinds])
      .describe(
        '`access-request`: somebody asked the ledger for the content. All others are kinds of entries in the access log.',
      )
      .meta({ example: 'release' }),
    time: instant,
    outcome: z.object({ code: z.string().describe('OK, or why it was refused.').meta({ example: 'OK' }) }),
    purpose: z.string().nullable().describe('HL7 v3 PurposeOfUse.').meta({ example: 'TREAT' }),
    version: z.int().nullable().meta({ example: 1 }),
    hospital: hospitalSchema.describe('Whose staff it was.'),
    who: staffSchema,
    query: hash32.nullable().describe('Ties a release to the request that it follows.'),
  })
  .meta({ id: 'RecordAccess' });
export type RecordAccess = z.output<typeof accessSchema>;

export const accessPageSchema = pageSchema(accessSchema, 'RecordAccessPage');
