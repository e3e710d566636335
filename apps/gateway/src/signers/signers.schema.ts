import { z } from 'zod';
import { address20, chainInteger } from '../http/fields.js';

export const signerNumber = z.coerce.number().int().min(1).max(2_147_483_647);

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
