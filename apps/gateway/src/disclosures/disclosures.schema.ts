import { z } from 'zod';
import { patientIdentifier } from '../emrs/emrs.schema.js';
import { chainInteger, hash32, instant } from '../http/fields.js';
import { pageQuery, pageSchema } from '../http/page.js';
import { purposeName } from '../queries/queries.schema.js';
import { staffSchema } from './staff.schema.js';

const time = z.iso.datetime({ offset: true }).meta({ example: '2026-03-01T00:00:00.000Z' });
const window = {
  from: time.optional().describe('Inclusive; default and earliest: six years ago.'),
  to: time.optional().describe('Exclusive.'),
};

export const disclosureQuery = z.strictObject({ recordId: hash32.optional(), ...window, ...pageQuery });
export type DisclosureQuery = z.output<typeof disclosureQuery>;

export const disclosureSearchSchema = z
  .strictObject({
    recordId: hash32.optional(),
    patient: z.strictObject({ identifier: patientIdentifier }).optional(),
    ...window,
    ...pageQuery,
  })
  .refine(({ recordId, patient }) => recordId !== undefined || patient !== undefined, 'recordId or patient is needed')
  .meta({
    id: 'DisclosureSearch',
    examples: [{ patient: { identifier: { system: 'urn:hospital-a:mrn', value: '000123' } } }],
  });
export type DisclosureSearch = z.output<typeof disclosureSearchSchema>;

export const hospitalSchema = z.object({
  number: z.int().meta({ example: 2 }),
  name: z.string().nullable().describe('As this hospital knows it.').meta({ example: 'Hospital B' }),
});

const disclosureSchema = z
  .object({
    id: z.string().describe('The event on the ledger that proves it.').meta({ example: 'ev_global_1234' }),
    kind: z
      .enum(['transfer', 'other-hospital', 'other-purpose'])
      .describe(
        'A copy of the record went to another hospital; somebody there was let look at it; somebody here looked for other reasons than treatment.',
      ),
    time: instant.describe('Block time: when it was accepted (transfer) or allowed.'),
    recordId: hash32,
    version: z.int().nullable().describe('What was disclosed: this version of the record, whole.').meta({ example: 1 }),
    recipient: z.object({ hospital: hospitalSchema, who: staffSchema }),
    purpose: purposeName.nullable(),
    handedOverAt: instant.nullable().describe('When content first left; null: it was allowed, and never fetched.'),
    accountable: z
      .boolean()
      .describe(
        'Whether 45 CFR 164.528 asks for it: not for treatment, payment, operations, and the patient’s own request.',
      ),
    sequence: chainInteger,
  })
  .meta({ id: 'Disclosure' });
export type Disclosure = z.output<typeof disclosureSchema>;

export const disclosurePageSchema = pageSchema(disclosureSchema, 'DisclosurePage');
