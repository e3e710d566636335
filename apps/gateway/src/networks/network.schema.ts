import { z } from 'zod';
import { address20, chainInteger, hash32 } from '../http/fields.js';

/** What our node of a network says of itself. */
export const nodeStateSchema = z
  .object({
    reachable: z.boolean(),
    head: chainInteger.optional(),
    /** Seconds since its newest block was made. */
    headAge: z.int().optional(),
    peers: z.int().optional(),
    /** There while it fetches a longer chain from its peers: how far it is, and of what. */
    sync: z.object({ current: chainInteger, highest: chainInteger }).optional(),
    /** No block for so long that too few of the network's signers can be at work. */
    stalled: z.literal(true).optional(),
  })
  .meta({ id: 'NodeState' });
export type NodeState = z.output<typeof nodeStateSchema>;

export const networkSchema = z
  .object({
    name: z.string().meta({ example: 'local' }),
    tiers: z.array(z.enum(['local', 'global'])),
    chainId: chainInteger,
    contract: address20,
    genesisHash: hash32,
    finalityDepth: z.int(),
    node: nodeStateSchema,
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
