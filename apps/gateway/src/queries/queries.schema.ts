import { z } from 'zod';
import { Purpose, type PurposeName } from '../../../../libs/contracts/src/operations.js';
import { address20, hash32, instant } from '../http/fields.js';

export const purposeName = z
  .enum(Object.keys(Purpose) as [PurposeName, ...PurposeName[]])
  .describe('HL7 v3 PurposeOfUse.')
  .meta({ example: 'TREAT' });

export const querySchema = z
  .strictObject({
    purpose: purposeName,
    version: z.int().min(1).max(0xffff_ffff).optional().describe('Default: the latest.'),
    ttlSeconds: z.int().min(1).max(86_400).default(300).describe('How long the content can be fetched once confirmed.'),
    basis: z
      .union([z.strictObject({ grantId: hash32 }), z.strictObject({ teamId: address20 })])
      .optional()
      .describe('On what the access stands; default: the own relation, else a related team, else a grant in force.'),
  })
  .meta({ id: 'QueryRecord', examples: [{ purpose: 'TREAT' }] });
export type QueryBody = z.output<typeof querySchema>;

export const queryViewSchema = z
  .object({
    id: hash32,
    recordId: hash32,
    network: z.string().meta({ example: 'local' }),
    version: z.int().meta({ example: 1 }),
    purpose: z.string().meta({ example: 'TREAT' }),
    state: z.enum(['pending', 'confirmed', 'denied', 'expired']),
    reason: z.string().optional().describe('Why the ledger refused.').meta({ example: 'NO_RELATION' }),
    confirmedAt: instant.nullable(),
    expiresAt: instant.nullable(),
    event: z.string().nullable().meta({ example: 'ev_local_1234' }),
    operation: z.string().meta({ example: 'op_0195f3a2c4d87e6b9a10c2d3e4f50617' }),
    links: z.record(z.string(), z.string()),
  })
  .meta({ id: 'Query' });
export type QueryView = z.output<typeof queryViewSchema>;
