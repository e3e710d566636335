import { z } from 'zod';
import { chainInteger, hash32, instant } from '../http/fields.js';

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
export const peerListSchema = z.object({ items: z.array(peerSchema) }).meta({ id: 'PeerList' });

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
