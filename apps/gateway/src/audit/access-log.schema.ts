import { z } from 'zod';
import { address20, chainInteger, hash32, instant } from '../http/fields.js';
import { pageQuery } from '../http/page.js';
import { lookKinds } from './look.js';

const time = z.iso.datetime({ offset: true }).meta({ example: '2026-03-01T00:00:00.000Z' });

export const accessLogQuery = z.strictObject({
  recordId: hash32.optional(),
  principal: hash32.optional().describe('Whose looks: the `principal` of an entry.'),
  actor: address20.optional(),
  kind: z.enum(lookKinds).optional(),
  from: time.optional().describe('Inclusive.'),
  to: time.optional().describe('Exclusive.'),
  ...pageQuery,
});
export type AccessLogQuery = z.output<typeof accessLogQuery>;

export const accessLogHeadSchema = z
  .object({
    sequence: chainInteger.describe('Entries in the chain.'),
    head: hash32.describe('Fold of every entry so far (docs/access-log.md); zeros before the first.'),
    linkedAt: instant.nullable(),
  })
  .meta({ id: 'AccessLogHead' });
export type AccessLogHeadBody = z.output<typeof accessLogHeadSchema>;

const entrySchema = z
  .object({
    sequence: chainInteger.describe('Its place in the chain.'),
    id: chainInteger,
    at: instant,
    principal: hash32.describe('Keyed hash of issuer, client and subject; where another hospital looked, its number.'),
    actor: address20.nullable(),
    kind: z.enum(lookKinds).meta({ example: 'release' }),
    recordId: hash32.nullable(),
    requestId: hash32.nullable().describe('The query, operation, grant, relation or transfer it is about.'),
    detail: z.record(z.string(), z.unknown()).describe('Filters, counts, versions; no personal data.'),
    leaf: hash32.describe('SHA-256 of the entry (docs/access-log.md).'),
    head: hash32.describe('Of the chain, after this entry.'),
  })
  .meta({ id: 'AccessLogEntry' });
export type AccessLogEntryBody = z.output<typeof entrySchema>;

export const accessLogPageSchema = z
  .object({
    items: z.array(entrySchema),
    nextCursor: z.string().nullable(),
    through: chainInteger.describe('The sequence up to where this list goes; the same on all of its pages.'),
  })
  .meta({ id: 'AccessLogPage' });
