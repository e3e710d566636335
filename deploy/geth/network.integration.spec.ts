import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connectRpc } from '../../libs/chain-client/src/rpc/transport.js';
import { findGeth } from './binary.js';
import { tieProcessesToUs } from './child-process.js';
import { ipcCall } from './ipc.js';
import { type NetworkOptions, type RunningNetwork, startNetwork } from './network.js';

const logger = { info: () => {}, warn: () => {} };
const geth = await findGeth({ env: process.env, logger, build: false });
tieProcessesToUs();
const shape = { consensus: 'clique', chainId: 710_030, nodes: 2, period: 1 } as const;

let dir: string;
let network: RunningNetwork;
const start = (over: Partial<NetworkOptions> = {}) => startNetwork({ dir, shape, logger, ...over });

const post = async (body: unknown, headers: Record<string, string> = {}) => {
  const response = await fetch(network.nodes[0]?.httpUrl ?? '', {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  });
  // biome-ignore lint/suspicious/noExplicitAny: answers of several shapes
  return { status: response.status, body: (await response.json()) as any };
};
const call = (method: string, params: unknown[] = []) => ({ jsonrpc: '2.0', id: 1, method, params });

describe.skipIf(!geth)('a network of nodes', () => {
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'emr-network-'));
    network = await start();
  });
  afterAll(async () => {
    await network?.stop();
    await rm(dir, { recursive: true, force: true });
  });

  it('seals together, each block by the next signer', async () => {
    const [a, b] = network.nodes;
    const sealers = async () => {
      const head = Number(await ipcCall<string>(a?.ipcPath ?? '', 'eth_blockNumber'));
      const numbers = Array.from({ length: Math.min(head, 4) }, (_, i) => `0x${(head - i).toString(16)}`);
      const found = await Promise.all(numbers.map((at) => ipcCall(a?.ipcPath ?? '', 'clique_getSigner', [at])));
      return [...new Set(found)].sort();
    };
    await expect.poll(sealers, { timeout: 30_000 }).toEqual([a?.sealer, b?.sealer].sort());
  });

  it('answers questions over HTTP and WebSocket, and tells new heads', async () => {
    expect((await post(call('eth_chainId'))).body).toMatchObject({ id: 1, result: `0x${(710_030).toString(16)}` });
    const batch = await post([call('eth_blockNumber'), call('net_version')]);
    expect(batch.body).toHaveLength(2);
    const socket = connectRpc(network.nodes[0]?.wsUrl ?? '');
    try {
      expect(await socket.request('net_version', [])).toBe('710030');
      const head = await new Promise<{ number: string }>((resolve, reject) => {
        socket.subscribe('newHeads', resolve).catch(reject);
      });
      expect(Number(head.number)).toBeGreaterThan(0);
    } finally {
      await socket.close();
    }
  });

  it('signs nothing for whoever reaches the port, is not steered through it, and turns away pages of a browser', async () => {
    const sealer = network.nodes[0]?.sealer;
    for (const [method, params] of [
      ['eth_sendTransaction', [{ from: sealer, to: sealer, value: '0x0' }]],
      ['eth_sign', [sealer, '0x00']],
      ['eth_accounts', []],
      ['personal_listAccounts', []],
      ['admin_addPeer', ['enode://x']],
      ['miner_stop', []],
      ['eth_getWork', []],
      ['clique_propose', [sealer, false]],
    ] as const) {
      expect((await post(call(method, [...params]))).body.error, method).toMatchObject({ code: -32601 });
    }
    const mixed = await post([call('eth_chainId'), call('eth_accounts')]);
    expect(mixed.body.every((each: { error?: object }) => each.error)).toBe(true);
    expect((await post(call('eth_chainId'), { origin: 'http://example.org' })).status).toBe(403);
  });

  it('is one process’s, goes on where it was, and is not mistaken for another', async () => {
    await expect(start()).rejects.toThrow(`process ${process.pid} runs the network`);
    const block = (at: string) =>
      ipcCall<{ hash: string } | null>(network.nodes[1]?.ipcPath ?? '', 'eth_getBlockByNumber', [at, false]);
    await expect.poll(() => block('0x2'), { timeout: 30_000 }).toBeTruthy();
    const second = await block('0x2');
    await network.stop();
    await expect(start({ shape: { ...shape, nodes: 3 } })).rejects.toThrow('holds another network');
    network = await startNetwork({ dir, logger });
    expect(await block('0x2')).toEqual(second);
  });
});
