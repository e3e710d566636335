import { z } from 'zod';
import { address20, chainInteger, hash32 } from '../http/fields.js';

export const networkSchema = z
  .object({
    name: z.string().meta({ example: 'local' }),
    tiers: z.array(z.enum(['local', 'global'])),
    chainId: chainInteger,
    contract: address20,
    genesisHash: hash32,
    finalityDepth: z.int(),
    node: z.object({
      reachable: z.boolean(),
      head: chainInteger.optional(),
      peers: z.int().optional(),
    }),
    mirror: z
      .object({
        number: chainInteger,
        finalNumber: chainInteger,
        sequence: chainInteger,
        /** Blocks the node is ahead of the mirror. */
        lag: z.int().optional(),
        stopped: z.string().optional(),
      })
      .optional(),
  })
  .meta({ id: 'Network' });
export type NetworkBody = z.output<typeof networkSchema>;

export const networkListSchema = z.object({ items: z.array(networkSchema) }).meta({ id: 'NetworkList' });
