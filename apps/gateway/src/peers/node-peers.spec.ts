import { afterEach, expect, it, vi } from 'vitest';
import { createLogger } from '../../../../libs/platform/src/logger.js';
import type { NetworksService } from '../networks/networks.service.js';
import type { Nodes } from '../networks/nodes.js';
import { NodePeersService } from './node-peers.service.js';
import type { PeersStore } from './peers.store.js';

afterEach(() => vi.useRealTimers());

it('adds the peers of each network, whichever other node is away, and a peer of a network that is no more holds up none', async () => {
  vi.useFakeTimers();
  const added: string[] = [];
  const peers = ['gone', 'away', 'global'].map((network) => ({ network, enode: `enode of ${network}` }));
  const transport = (network: string) => {
    if (network === 'gone') throw new RangeError('no such network');
    return {
      request: async (_method: string, [enode]: [string]) => {
        if (network === 'away') throw new Error('nobody listens');
        added.push(enode);
      },
    };
  };
  const service = new NodePeersService(
    { list: async () => peers } as unknown as PeersStore,
    { transport } as unknown as Nodes,
    {} as NetworksService,
    createLogger('test', 'silent'),
  );
  service.onApplicationBootstrap();
  await vi.advanceTimersByTimeAsync(20_000);
  service.onApplicationShutdown();
  expect(added).toEqual(['enode of global', 'enode of global']);
});
