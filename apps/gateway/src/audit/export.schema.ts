import { z } from 'zod';
import { address20, chainInteger, hash32, instant } from '../http/fields.js';
import { eventFilters, patient } from './audit.schema.js';

export const exportId = z
  .string()
  .regex(/^ex_[0-9a-f]{32}$/, 'ex_ and 32 hex digits')
  .meta({ example: 'ex_01a20500aac37990adc317c35378e5b8' });

export const exportRequestSchema = z
  .strictObject({
    of: z
      .enum(['events', 'access-log'])
      .default('events')
      .describe('The access log is exported whole, from its first entry, as NDJSON: with it goes no filter.'),
    format: z.enum(['ndjson', 'csv']).default('ndjson'),
    ...eventFilters,
    patient,
  })
  .refine(
    ({ of, format, ...filters }) => of === 'events' || (format === 'ndjson' && Object.keys(filters).length === 0),
    {
      path: ['of'],
      message: 'the access log is exported as ndjson, without filters',
    },
  )
  .meta({ id: 'ExportRequest', examples: [{ format: 'ndjson', network: 'local', from: '2026-03-01T00:00:00.000Z' }] });
export type ExportRequest = z.output<typeof exportRequestSchema>;

/** What rows of an export are to each other, and so what can be checked without trust in who made it. */
const kind = z
  .enum(['whole', 'record', 'selection', 'access-log'])
  .describe(
    'whole: every event of the networks and times named, none left out. record: every event of one record. Both chain to a head, so that a missing ' +
      'row is found. selection: rows that fit a filter; that none is left out rests on the signature alone. access-log: every entry of it, chained.',
  );

export const exportSchema = z
  .object({
    id: exportId,
    format: z.enum(['ndjson', 'csv']),
    kind,
    createdAt: instant,
    complete: z.boolean().describe('The manifest is there: the content was made to its end at least once.'),
    links: z.object({ content: z.string(), manifest: z.string() }),
  })
  .meta({ id: 'Export' });
export type ExportBody = z.output<typeof exportSchema>;

const count = chainInteger;
const signature = z.object({
  key: hash32.describe("Ed25519: the hospital's identity key, as in the registry of hospitals."),
  value: z.string().describe('Over "emr-export/1", a line feed, and the manifest without this member.'),
});

export const manifestSchema = z
  .object({
    format: z.literal('emr-export/1'),
    id: exportId,
    hospital: z.int().meta({ example: 1 }),
    createdAt: instant.describe('When it was asked for; everything that was final then is in it.'),
    media: z.enum(['ndjson', 'csv']),
    kind,
    filter: z.record(z.string(), z.unknown()).describe('As it was asked for; of a patient only that one was named.'),
    rows: count,
    bytes: count,
    sha256: hash32.describe('Of the content.'),
    networks: z.array(
      z.object({
        name: z.string().meta({ example: 'local' }),
        contract: address20,
        rows: count,
        first: count.nullable().describe('Sequence of the first row; of a record export, its sequence in the record.'),
        last: count.nullable(),
        previousHead: hash32.nullable().describe('The head before the first row; null for a selection.'),
        head: hash32.nullable().describe('The head after the last row; null for a selection.'),
        through: z
          .object({ block: count, hash: hash32, sequence: count, head: hash32 })
          .describe('What was final then.'),
      }),
    ),
    signature,
  })
  .meta({ id: 'ExportManifest' });
/** Of an export of the access log. */
export const accessLogManifestSchema = z
  .object({
    format: z.literal('emr-access-log/1'),
    id: exportId,
    hospital: z.int().meta({ example: 1 }),
    createdAt: instant,
    rows: count,
    bytes: count,
    sha256: hash32,
    first: count,
    last: count,
    previousHead: hash32,
    head: hash32,
    signature,
  })
  .meta({ id: 'AccessLogManifest' });
export type AccessLogManifest = z.output<typeof accessLogManifestSchema>;
export type Manifest = z.output<typeof manifestSchema>;
