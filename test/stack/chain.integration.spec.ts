import { afterEach, describe, expect, it } from 'vitest';
import { ipcCall } from '../../deploy/geth/ipc.js';
import { startGlobalPair, startTestChain, type TestChain, testGeth } from './chain.js';

const chains: TestChain[] = [];
afterEach(() => Promise.all(chains.splice(0).map((chain) => chain.stop())));

const codeAt = (chain: TestChain) => ipcCall<string>(chain.rpcUrl, 'eth_getCode', [chain.contract, 'latest']);
const height = async (chain: TestChain) => Number(await ipcCall<string>(chain.rpcUrl, 'eth_blockNumber'));

describe('a test chain', () => {
  it('has the ledger, and has it still after kill -9 and restart', async () => {
    const chain = await startTestChain({ hospitals: 2 });
    chains.push(chain);
    expect((await codeAt(chain)).length).toBeGreaterThan(10_000);
    expect(chain.hospitals.map((hospital) => hospital.id)).toEqual([1, 2]);
    if (chain.kind !== 'geth') return; // Anvil writes its state once a second
    const before = await height(chain);
    await chain.kill();
    await chain.restart();
    expect(await height(chain)).toBe(before);
    expect(await codeAt(chain)).not.toBe('0x');
  });
});

describe.skipIf(!(await testGeth()))('a global pair', () => {
  it('has one ledger, seen through both nodes', async () => {
    const pair = await startGlobalPair();
    chains.push(...pair);
    const [a, b] = pair;
    expect(b.contract).toBe(a.contract);
    for (const deadline = Date.now() + 30_000; (await codeAt(b)) === '0x' && Date.now() < deadline; ) {
      await new Promise((wake) => setTimeout(wake, 100));
    }
    expect(await codeAt(b)).toBe(await codeAt(a));
  });
});
