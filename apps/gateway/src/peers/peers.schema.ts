import { z } from 'zod';
import { chainInteger, hash32, instant } from '../http/fields.js';
import { nodeStateSchema } from '../networks/network.schema.js';

const network = z
  .string()
  .regex(/^[a-z][a-z0-9-]{0,31}$/)
  .meta({ example: 'global' });
const enode = z
  .string()
  .max(512)
  .regex(
    /^enode:\/\/[0-9a-f]{128}@(\[[0-9a-f:.]+\]|[A-Za-z0-9.-]+):\d{1,5}(\?discport=\d{1,5})?$/,
    'enode://<128 hex digits>@host:port',
  )
  .meta({ example: `enode://${'ab'.repeat(64)}@10.0.0.2:30303` });

export const peerSchema = z
  .object({ network, enode, connected: z.boolean().optional(), createdAt: instant })
  .meta({ id: 'Peer' });
export type PeerBody = z.output<typeof peerSchema>;
const peeredNodeSchema = nodeStateSchema
  .pick({ reachable: true, head: true, peers: true, sync: true })
  .extend({
    network,
    enode: z
      .string()
      .optional()
      .meta({ example: `enode://${'cd'.repeat(64)}@10.0.0.1:30303` }),
  })
  .meta({ id: 'PeeredNode' });
export type PeeredNode = z.output<typeof peeredNodeSchema>;

export const peerListSchema = z
  .object({
    items: z.array(peerSchema),
    /** Our own nodes: under which enode others reach them, and whether they are in step with their peers (no `sync`). */
    nodes: z.array(peeredNodeSchema),
  })
  .meta({ id: 'PeerList' });
export type PeerListBody = z.output<typeof peerListSchema>;

export const newPeerSchema = z
  .strictObject({
    network,
    enode,
    /** Of the peer's chain: nodes of different chains never connect, so a mistake is told at once. */
    genesisHash: hash32,
    networkId: chainInteger.meta({ example: '777000' }),
  })
  .meta({ id: 'NewPeer' });
export type NewPeer = z.output<typeof newPeerSchema>;

export const peerRemovalSchema = z.strictObject({ network, enode }).meta({ id: 'PeerRemoval' });
export type PeerRemoval = z.output<typeof peerRemovalSchema>;
