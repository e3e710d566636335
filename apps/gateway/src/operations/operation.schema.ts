import { z } from 'zod';
import { chainInteger, hash32, instant } from '../http/fields.js';
import { pageQuery, pageSchema } from '../http/page.js';

const operationStates = [
  'accepted',
  'signed',
  'submitted',
  'mined',
  'confirmed',
  'denied',
  'failed',
  'cancelled',
] as const;

export const operationId = z
  .string()
  .regex(/^op_[0-9a-f]{32}$/, 'op_ and 32 hex digits')
  .meta({ example: 'op_0195f3a2c4d87e6b9a10c2d3e4f50617' });

export const operationSchema = z
  .object({
    id: operationId,
    type: z.string().meta({ example: 'query' }),
    state: z.enum(operationStates),
    network: z.string().meta({ example: 'local' }),
    recordId: hash32.optional(),
    requestId: hash32,
    transaction: z
      .object({
        hash: hash32,
        nonce: z.int().optional(),
        blockNumber: chainInteger.optional(),
        blockHash: hash32.optional(),
        confirmations: z.int().optional(),
      })
      .optional(),
    event: z.string().optional().meta({ example: 'ev_local_1234' }),
    outcome: z.object({ code: z.string().meta({ example: 'OK' }), detail: z.string().optional() }).optional(),
    createdAt: instant,
    updatedAt: instant,
    links: z.record(z.string(), z.string()),
  })
  .meta({ id: 'Operation' });
export type OperationBody = z.output<typeof operationSchema>;

export const operationPageSchema = pageSchema(operationSchema, 'OperationPage');

export const operationQuery = z.strictObject({
  ...pageQuery,
  type: z.string().max(64).optional(),
});
export type OperationQuery = z.output<typeof operationQuery>;
