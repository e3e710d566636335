import { z } from 'zod';
import { eventTopics } from '../../../../libs/contracts/src/event.codec.js';
import { anchoredLedgerSchema } from '../anchors/anchors.schema.js';
import { patientIdentifier } from '../emrs/emrs.schema.js';
import { address20, chainInteger, hash32, instant } from '../http/fields.js';
import { pageQuery } from '../http/page.js';
import { purposeName } from '../queries/queries.schema.js';

const unsequenced = new Set(['Head', 'BadSignature', 'Duplicate', 'Mismatch']);
const eventTypes = Object.keys(eventTopics).filter((type) => !unsequenced.has(type)) as [string, ...string[]];
const time = z.iso.datetime({ offset: true }).meta({ example: '2026-03-01T00:00:00.000Z' });

export const eventId = z
  .string()
  .regex(/^ev_[a-z][a-z0-9-]{0,31}_[1-9]\d{0,18}$/, 'ev_<network>_<sequence>')
  .meta({ example: 'ev_local_1234' });

/** What events can be narrowed by. */
export const eventFilters = {
  recordId: hash32.optional(),
  actor: address20.optional(),
  device: address20.optional().describe('Acts of this actor, if it is registered as a device.'),
  type: z.enum(eventTypes).optional().describe('Event type, such as RecordQueried or AccessDenied.'),
  outcome: z.enum(['allowed', 'denied']).optional(),
  purpose: purposeName.optional(),
  from: time.optional().describe('Block time, inclusive.'),
  to: time.optional().describe('Block time, exclusive.'),
  network: z
    .string()
    .regex(/^[a-z][a-z0-9-]{0,31}(,[a-z][a-z0-9-]{0,31}){0,7}$/, 'names of networks with commas between')
    .optional()
    .meta({ example: 'local,global', description: 'One or several, with commas between. Default: all.' }),
};

/** Found by its blind index: it is neither stored nor logged. */
export const patient = z.strictObject({ identifier: patientIdentifier }).optional();

export const auditQuery = z.strictObject({ ...eventFilters, ...pageQuery });
export type AuditQuery = z.output<typeof auditQuery>;

export const auditSearchSchema = z.strictObject({ ...eventFilters, patient, ...pageQuery }).meta({
  id: 'AuditSearch',
  examples: [{ patient: { identifier: { system: 'urn:hospital-a:mrn', value: '000123' } }, outcome: 'denied' }],
});
export type AuditSearch = z.output<typeof auditSearchSchema>;

export const auditEventSchema = z
  .object({
    id: eventId,
    network: z.string().meta({ example: 'local' }),
    sequence: chainInteger,
    type: z.string().meta({ example: 'RecordQueried' }),
    operation: z.string().meta({ example: 'QUERY' }),
    outcome: z.object({ code: z.string().describe('OK, or why the ledger refused.').meta({ example: 'OK' }) }),
    purpose: z.string().nullable().meta({ example: 'TREAT' }),
    time: instant.describe('Block time.'),
    recordId: hash32.nullable(),
    recordSequence: chainInteger.nullable(),
    actor: address20,
    hospital: z.int().describe('Hospital that carried the act.').meta({ example: 1 }),
    requestId: hash32,
    block: z.object({ number: chainInteger, hash: hash32 }),
    transactionHash: hash32,
    logIndex: z.int(),
    details: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])).describe("The event's own fields."),
  })
  .meta({ id: 'AuditEvent' });
export type AuditEvent = z.output<typeof auditEventSchema>;

const point = z.object({ block: chainInteger, sequence: chainInteger });
const through = z.record(z.string(), point);

export const auditPageSchema = z
  .object({
    items: z.array(auditEventSchema),
    nextCursor: z.string().nullable(),
    confirmedThrough: through.describe('Per network: up to where this history is final here.'),
    anchoredThrough: z
      .record(z.string(), point.nullable())
      .describe('Per network: up to where other hospitals hold its anchor, or the history itself; null: nowhere yet.'),
  })
  .meta({ id: 'AuditEventPage' });
export type AuditPage = z.output<typeof auditPageSchema>;

export const integritySchema = z
  .object({
    networks: z.array(
      z.object({
        network: z.string().meta({ example: 'local' }),
        verifiedThrough: z.object({ block: chainInteger, hash: hash32 }),
        finalThrough: chainInteger,
        sequence: chainInteger,
        head: hash32.describe('Fold of every event so far, equal to the Head event of the last transaction.'),
        events: chainInteger.describe('Rows in the mirror; equal to the sequence when nothing is missing.'),
        gaps: z.array(z.object({ after: chainInteger, before: chainInteger })).describe('Missing sequences; none.'),
        reorganisations: z.int(),
        beyondFinality: z.int().describe('Of those, how many went deeper than what was final; none.'),
        lastCheckpoint: z
          .object({
            block: chainInteger,
            hash: hash32,
            sequence: chainInteger,
            head: hash32,
            proven: z
              .boolean()
              .describe("The contract's storage at that block was proven to hold this sequence and head."),
            proofMissing: z.string().nullable().describe('Why it was not.'),
            secondNode: z
              .enum(['agrees', 'differs', 'not-asked'])
              .describe('Whether another node has the same block there.'),
          })
          .nullable(),
        incidents: z
          .array(
            z.object({
              kind: z.string().meta({ example: 'witness' }),
              block: chainInteger.nullable(),
              detail: z.string(),
              seen: z.int(),
              firstAt: instant,
              lastAt: instant,
              resolvedAt: instant.nullable(),
            }),
          )
          .describe(
            'What a node was caught at, and differences against a second node (`witness`): open ones first; none.',
          ),
        stopped: z
          .object({
            reason: z.string(),
            block: chainInteger.nullable().describe('The first block that was not taken.'),
          })
          .nullable()
          .describe('Why the mirror refused to go on, if it did.'),
      }),
    ),
    accessLog: z
      .object({ sequence: chainInteger, head: hash32, linkedAt: instant.nullable() })
      .describe('How far the access log is chained.'),
    hospitals: z
      .array(anchoredLedgerSchema)
      .describe("Every hospital's own ledger, as it anchored it and as its events were held against that here."),
  })
  .meta({ id: 'Integrity' });
export type Integrity = z.output<typeof integritySchema>;
