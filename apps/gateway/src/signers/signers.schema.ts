import { z } from 'zod';
import { address20, chainInteger, hash32, instant } from '../http/fields.js';
import { pageQuery, pageSchema } from '../http/page.js';
import { operationId } from '../operations/operation.schema.js';

export const signerNumber = z.coerce.number().int().min(1).max(2_147_483_647).meta({ example: 1 });
export const signerNonce = z.coerce.number().int().min(0).max(Number.MAX_SAFE_INTEGER).meta({ example: 17 });

export const signerSchema = z
  .object({
    id: z.int(),
    network: z.string().meta({ example: 'local' }),
    address: address20,
    state: z.enum(['active', 'paused', 'quarantined']),
    reason: z.string().optional(),
    nextNonce: chainInteger,
    /** Transactions assigned, signed or sent that are not final yet. */
    open: z.int(),
  })
  .meta({ id: 'Signer' });
export type SignerBody = z.output<typeof signerSchema>;
export const signerListSchema = z.object({ items: z.array(signerSchema) }).meta({ id: 'SignerList' });

export const signerTransactionSchema = z
  .object({
    signer: z.int().meta({ example: 1 }),
    network: z.string().meta({ example: 'local' }),
    nonce: chainInteger,
    state: z
      .enum(['assigned', 'signed', 'submitted', 'final', 'reverted', 'noop', 'lost'])
      .describe(
        '`assigned`: a signer elsewhere has not signed it yet. `noop`: a NOOP was mined at this nonce. `lost`: bytes of somebody else were.',
      ),
    createdAt: instant,
    operations: z.array(
      z.object({
        id: operationId,
        withdrawn: z.boolean().describe('Ends cancelled, should this transaction end without effect.'),
      }),
    ),
    attempts: z
      .array(
        z.object({
          number: z.int(),
          kind: z.enum(['first', 'bump', 'noop']),
          hash: hash32,
          gasPrice: chainInteger.describe('Wei.'),
          sends: z.int(),
          sentAt: instant.optional(),
          answer: z.string().optional().describe("The node's last answer, where it was an error."),
          block: chainInteger.optional().describe('Where it was mined.'),
        }),
      )
      .describe('Every form in which the nonce may be mined; at most one is.'),
  })
  .meta({ id: 'SignerTransaction' });
export type SignerTransactionBody = z.output<typeof signerTransactionSchema>;
export const signerTransactionListSchema = z
  .object({ items: z.array(signerTransactionSchema) })
  .meta({ id: 'SignerTransactionList' });

// Reasons are codes, and the rest of the story has its place in the hospital's own incident system: what can hold no sentence holds no
// personal data.
const ticket = z
  .string()
  .regex(/^[A-Z]{2,10}-\d{1,10}$/, 'capital letters, a hyphen, digits')
  .describe('Where the whole story is kept.')
  .meta({ example: 'INC-2041' });
const replacementReason = z.enum(['STUCK', 'REFUSED_BY_NODE', 'UNDERPRICED', 'WITHDRAWAL', 'DRILL']);
const releaseReason = z.enum([
  'SECOND_INSTANCE_STOPPED',
  'KEY_USE_EXPLAINED',
  'KEY_SECURED',
  'DATABASE_RESTORED',
  'DRILL',
]);
const gasPrice = z
  .string()
  .regex(/^\d{1,30}$/, 'wei as a decimal string')
  .describe('Wei a unit of gas; left out: as little more as a node asks before it replaces (a tenth, at least 1 wei).');

export const bumpRequestSchema = z
  .strictObject({ reason: replacementReason, ticket: ticket.optional(), gasPrice: gasPrice.optional() })
  .meta({ id: 'BumpRequest', examples: [{ reason: 'UNDERPRICED', gasPrice: '1000000000' }] });
export type BumpRequest = z.output<typeof bumpRequestSchema>;

export const noopRequestSchema = z
  .strictObject({
    reason: replacementReason,
    ticket: ticket.optional(),
    gasPrice: gasPrice.optional(),
    withdraw: z
      .array(operationId)
      .max(1_000)
      .default([])
      .describe('Operations of this transaction that end cancelled if the NOOP is mined; the others ride again.'),
  })
  .meta({ id: 'NoopRequest', examples: [{ reason: 'STUCK', ticket: 'INC-2041' }] });
export type NoopRequest = z.output<typeof noopRequestSchema>;

export const releaseRequestSchema = z
  .strictObject({ reason: releaseReason, ticket: ticket.optional() })
  .meta({ id: 'ReleaseRequest', examples: [{ reason: 'SECOND_INSTANCE_STOPPED', ticket: 'INC-2041' }] });
export type ReleaseRequest = z.output<typeof releaseRequestSchema>;

export const signerActionSchema = z
  .object({
    id: chainInteger,
    at: instant,
    action: z.enum(['pause', 'resumption', 'noop', 'bump', 'release']),
    signer: z.int().meta({ example: 1 }),
    network: z.string().meta({ example: 'local' }),
    nonce: chainInteger.nullable(),
    reason: z.string().nullable().meta({ example: 'STUCK' }),
    ticket: z.string().nullable().meta({ example: 'INC-2041' }),
    outcome: z
      .enum(['done', 'unchanged', 'refused', 'failed'])
      .describe(
        '`unchanged`: it was so already. `refused`: it did not fit. `failed`: node or database could not be asked.',
      ),
    by: z.object({
      principal: hash32.describe('HMAC of issuer, client and subject: the same for the same person.'),
      actor: address20.optional(),
    }),
    detail: z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.array(z.string())])),
  })
  .meta({ id: 'SignerAction' });
export type SignerActionBody = z.output<typeof signerActionSchema>;
export const signerActionPageSchema = pageSchema(signerActionSchema, 'SignerActionPage');
export const signerActionQuery = z.strictObject({ ...pageQuery, signer: signerNumber.optional() });
export type SignerActionQuery = z.output<typeof signerActionQuery>;
