import { z } from 'zod';
import { contentId } from '../contents/contents.schema.js';
import { hash32, instant } from '../http/fields.js';
import { pageQuery, pageSchema } from '../http/page.js';

const printable = /^[^\p{C}\p{Z}](?:[^\p{C}]*[^\p{C}\p{Z}])?$/u;

/** A patient's local identifier, such as a medical record number (FHIR Identifier, §2.24.0.14). */
export const patientIdentifier = z
  .strictObject({
    system: z.string().min(1).max(256).regex(printable, 'no control characters, no space at the ends').optional(),
    value: z.string().min(1).max(128).regex(printable, 'no control characters, no space at the ends'),
  })
  .meta({ id: 'PatientIdentifier', examples: [{ system: 'urn:hospital-a:mrn', value: '000123' }] });
export type PatientIdentifier = z.output<typeof patientIdentifier>;

export const openSchema = z
  .strictObject({
    patient: z.strictObject({ identifier: patientIdentifier }),
    contentId,
    securityLevel: z
      .int()
      .min(0)
      .max(1, 'levels 2 and 3 need quorum approvals and global anchors, which this version does not have: use 0 or 1')
      .default(1)
      .describe('0 administrative, 1 normal.'),
  })
  .meta({
    id: 'OpenRecord',
    examples: [
      {
        patient: { identifier: { system: 'urn:hospital-a:mrn', value: '000123' } },
        contentId: `ct_${'0a'.repeat(16)}`,
        securityLevel: 1,
      },
    ],
  });
export type OpenBody = z.output<typeof openSchema>;

export const amendSchema = z
  .strictObject({ contentId })
  .meta({ id: 'AmendRecord', examples: [{ contentId: `ct_${'0b'.repeat(16)}` }] });
export type AmendBody = z.output<typeof amendSchema>;

/** Reasons and their codes on the ledger; codes are for ever. */
export const closureReasons = {
  'treatment-ended': 1,
  'patient-deceased': 2,
  'patient-moved': 3,
  'entered-in-error': 4,
  other: 99,
} as const;
export const reopeningReasons = { 'treatment-resumed': 1, 'closed-in-error': 2, other: 99 } as const;

const namesOf = <T extends string>(codes: Record<T, number>) => Object.keys(codes) as [T, ...T[]];

export const closureSchema = z
  .strictObject({ reason: z.enum(namesOf(closureReasons)) })
  .meta({ id: 'CloseRecord', examples: [{ reason: 'treatment-ended' }] });
export const reopeningSchema = z
  .strictObject({ reason: z.enum(namesOf(reopeningReasons)) })
  .meta({ id: 'ReopenRecord', examples: [{ reason: 'treatment-resumed' }] });

export const accountSchema = z
  .strictObject({
    subject: z.string().min(1).max(256).describe("`sub` of the patient's tokens."),
    issuer: z.string().min(1).max(512).optional().describe('`iss` of those tokens; default: the issuer of your own.'),
  })
  .meta({ id: 'PatientAccount', examples: [{ subject: 'patient.a' }] });
export type AccountBody = z.output<typeof accountSchema>;

export const emrSchema = z
  .object({
    id: hash32,
    network: z.string().meta({ example: 'local' }),
    custodian: z.int().describe('Hospital that has custody.').meta({ example: 1 }),
    version: z.int().meta({ example: 1 }),
    contentHash: hash32.describe("SHA-256 of the version's ciphertext manifest."),
    securityLevel: z.int().meta({ example: 1 }),
    status: z.enum(['open', 'closed']),
    frozenBy: hash32.nullable().describe('The live transfer that holds it, if any.'),
    origin: hash32.nullable().describe('The transfer it arrived by, if any.'),
    openedAt: instant,
    links: z.record(z.string(), z.string()),
  })
  .meta({ id: 'Emr' });
export type Emr = z.output<typeof emrSchema>;

export const emrPageSchema = pageSchema(emrSchema, 'EmrPage');
export const emrListQuery = z.strictObject(pageQuery);
export type EmrListQuery = z.output<typeof emrListQuery>;
export const emrSearchSchema = z
  .strictObject({ identifier: patientIdentifier, ...pageQuery })
  .meta({ id: 'EmrSearch', examples: [{ identifier: { system: 'urn:hospital-a:mrn', value: '000123' } }] });
export type EmrSearch = z.output<typeof emrSearchSchema>;
