import { z } from 'zod';
import { hash32, instant } from '../http/fields.js';
import { pageQuery, pageSchema } from '../http/page.js';

const hospital = z.int().min(1).max(0xffff_ffff).meta({ example: 2 });
const WEEK = 7 * 24 * 3600;

export const proposalReasons = ['treatment', 'second-opinion', 'patient-request', 'relocation', 'other'] as const;
/** Reasons and their codes on the ledger; codes are for ever. */
export const rejectionReasons = { 'not-our-patient': 1, 'content-unusable': 2, 'not-needed': 3, other: 99 } as const;
export const cancellationReasons = {
  'sent-in-error': 1,
  'patient-withdrew': 2,
  'no-longer-needed': 3,
  other: 99,
} as const;

const namesOf = <T extends string>(codes: Record<T, number>) => Object.keys(codes) as [T, ...T[]];

export const proposeSchema = z
  .strictObject({
    toHospital: hospital.describe('Number of the receiving hospital.'),
    mode: z.enum(['copy'], { error: 'only "copy": handing over custody itself is not supported yet' }).default('copy'),
    reason: z.enum(proposalReasons).optional().describe('Kept here, not on the ledger.'),
    ttlSeconds: z
      .int()
      .min(60)
      .max(60 * 24 * 3600)
      .default(WEEK)
      .describe('From the proposal on; what is not completed by then expires.'),
  })
  .meta({ id: 'ProposeTransfer', examples: [{ toHospital: 2, mode: 'copy', reason: 'treatment' }] });
export type ProposeBody = z.output<typeof proposeSchema>;

export const rejectSchema = z
  .strictObject({ reason: z.enum(namesOf(rejectionReasons)) })
  .meta({ id: 'RejectTransfer', examples: [{ reason: 'not-our-patient' }] });
export type RejectBody = z.output<typeof rejectSchema>;

export const cancelSchema = z
  .strictObject({ reason: z.enum(namesOf(cancellationReasons)) })
  .meta({ id: 'CancelTransfer', examples: [{ reason: 'sent-in-error' }] });
export type CancelBody = z.output<typeof cancelSchema>;

export const transferStates = [
  'preparing',
  'proposed',
  'accepted',
  'completed',
  'rejected',
  'cancelled',
  'expired',
  'failed',
] as const;

const stepSchema = z.object({
  name: z.string().meta({ example: 'propose' }),
  state: z.enum(['pending', 'confirmed', 'denied', 'failed']),
  network: z.string().optional().meta({ example: 'global' }),
  reason: z.string().optional().describe('Why the ledger refused it.'),
  links: z.object({ operation: z.string().optional(), event: z.string().optional() }),
});

export const transferSchema = z
  .object({
    id: hash32,
    state: z
      .enum(transferStates)
      .describe(
        'As the global ledger has it; "preparing" before it is proposed, "failed" when this side cannot go on.',
      ),
    direction: z.enum(['outgoing', 'incoming']),
    mode: z.literal('copy'),
    from: hospital,
    to: hospital,
    recordId: hash32,
    version: z.int(),
    receivedRecordId: hash32.nullable().describe("The copy, once it is open on the receiver's ledger; shown there."),
    step: z.string().describe('What this side is at.').meta({ example: 'awaiting-acceptance' }),
    packageReceived: z.boolean().describe('Incoming: the package is here and proven, so that it can be accepted.'),
    reason: z.enum(proposalReasons).nullable(),
    problem: z.string().nullable().describe('What holds it up, or ended it.'),
    expiresAt: instant.nullable(),
    createdAt: instant,
    updatedAt: instant,
    links: z.record(z.string(), z.string()),
  })
  .meta({ id: 'Transfer' });
export type Transfer = z.output<typeof transferSchema>;

export const transferDetailSchema = transferSchema
  .extend({ steps: z.array(stepSchema).describe('Acts of this side, in order.') })
  .meta({ id: 'TransferDetail' });
export type TransferDetail = z.output<typeof transferDetailSchema>;
export type TransferStep = z.output<typeof stepSchema>;

export const transferPageSchema = pageSchema(transferSchema, 'TransferPage');
export const transferListQuery = z.strictObject({
  ...pageQuery,
  direction: z.enum(['outgoing', 'incoming']).optional(),
  recordId: hash32.optional().describe('The transferred record or its copy.'),
});
export type TransferListQuery = z.output<typeof transferListQuery>;
