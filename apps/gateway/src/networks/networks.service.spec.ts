import { expect, it } from 'vitest';
import type { NetworkConfig, NetworksConfig } from '../../../../libs/platform/src/networks.js';
import type { NetworkStore } from './network.store.js';
import { NetworksService } from './networks.service.js';
import type { Nodes } from './nodes.js';

/** A node whose newest block is so old, and that says this of its sync. */
function serviceOver(age: number, sync: unknown): NetworksService {
  const timestamp = `0x${(Math.round(Date.now() / 1000) - age).toString(16)}`;
  const answers: Record<string, unknown> = {
    eth_getBlockByNumber: { number: '0x10', timestamp },
    net_peerCount: '0x2',
    eth_syncing: sync,
  };
  const transport = () => ({ request: async (method: string) => answers[method] });
  return new NetworksService({} as NetworksConfig, { transport } as unknown as Nodes, {} as NetworkStore);
}
const every = (period?: number) => ({ name: 'global', period }) as NetworkConfig;

it('shows how far a node is that catches up, and nothing where it is in step', async () => {
  const syncing = { currentBlock: '0x10', highestBlock: '0xff' };
  const behind = await serviceOver(1, syncing).nodeState(every(1));
  expect(behind).toMatchObject({ head: '16', peers: 2, sync: { current: '16', highest: '255' } });
  expect(await serviceOver(1, false).nodeState(every(1))).not.toHaveProperty('sync');
});

it.each([
  ['a block a second, the last one 9 s ago', 1, 9, undefined],
  ['a block a second, the last one 30 s ago', 1, 30, true],
  ['a block every 15 s, the last one 60 s ago', 15, 60, undefined],
  ['a block every 15 s, the last one 90 s ago', 15, 90, true],
  ['blocks only with transactions, the last one a day ago', undefined, 86_400, undefined],
])('%s: standing still is %s', async (_, period, age, stalled) => {
  expect((await serviceOver(age, false).nodeState(every(period))).stalled).toBe(stalled);
});
