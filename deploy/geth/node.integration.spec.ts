import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Transaction, Wallet } from 'ethers';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { findAnvil, startAnvil } from './anvil.js';
import { findGeth } from './binary.js';
import { isAlive, tieProcessesToUs } from './child-process.js';
import { cliqueGenesis, genesisHash, paperGenesis, powGenesis } from './genesis.js';
import { ipcCall } from './ipc.js';
import { type GethNode, type NodeOptions, startNode } from './node.js';
import { addPeers, peerCount } from './peering.js';

const logger = { info: () => {}, warn: () => {} };
const geth = await findGeth({ env: process.env, logger, build: false });
const pow = await findGeth({ env: process.env, logger, build: false }, 'pow');
tieProcessesToUs();
const CHAIN = 710_010;
let dir: string;
const running: GethNode[] = [];

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'emr-node-'));
});
afterEach(async () => {
  await Promise.all(running.splice(0).map((node) => node.kill()));
  await rm(dir, { recursive: true, force: true });
});

async function started(options: Partial<NodeOptions> & Pick<NodeOptions, 'genesis'>): Promise<GethNode> {
  const binary = options.geth ?? geth;
  if (!binary) throw new Error('no geth');
  const node = await startNode({ geth: binary, dir, networkId: CHAIN, bootMine: true, logger, ...options });
  running.push(node);
  return node;
}

/** A transaction that carries nothing to nobody, at gas price 0. */
function emptyTransaction(wallet: Wallet, nonce: number): string {
  const transaction = Transaction.from({
    type: 0,
    chainId: CHAIN,
    nonce,
    gasPrice: 0,
    gasLimit: 21_000,
    to: wallet.address,
  });
  transaction.signature = wallet.signingKey.sign(transaction.unsignedHash);
  return transaction.serialized;
}

async function until<T>(probe: () => Promise<T | undefined | false | null>, what: string): Promise<T> {
  for (const deadline = Date.now() + 45_000; Date.now() < deadline; ) {
    const value = await probe();
    if (value) return value;
    await new Promise((wake) => setTimeout(wake, 50));
  }
  throw new Error(`waited 45 s for ${what}`);
}

const mined = (node: { ipcPath: string }, hash: string) =>
  until(
    () =>
      ipcCall<{ blockNumber: string; blockHash: string }>(node.ipcPath, 'eth_getTransactionReceipt', [hash]).catch(
        () => null,
      ),
    hash,
  );
const height = async (node: { ipcPath: string }) => Number(await ipcCall<string>(node.ipcPath, 'eth_blockNumber'));
const sealerOf = (key: Buffer) => new Wallet(`0x${key.toString('hex')}`);

describe.skipIf(!geth)('a geth node', () => {
  it('seals a free transaction at once, keeps its chain over a stop, and listens on no port of its own', async () => {
    const sealerKey = randomBytes(32);
    const genesis = cliqueGenesis({ chainId: CHAIN, period: 0, signers: [sealerOf(sealerKey).address] });
    const node = await started({ genesis, sealerKey });
    expect(node.enode).toBeUndefined();
    const wallet = sealerOf(randomBytes(32));
    const hash = await ipcCall<string>(node.ipcPath, 'eth_sendRawTransaction', [emptyTransaction(wallet, 0)]);
    const { blockHash } = await mined(node, hash);
    const listening = await ipcCall<{ listenAddr: string }>(node.ipcPath, 'admin_nodeInfo');
    expect(listening.listenAddr).toBe('');
    await node.stop();
    expect(isAlive(node.pid)).toBe(false);

    const again = await started({ genesis, sealerKey });
    expect(again.genesisHash).toBe(node.genesisHash);
    expect(await ipcCall(again.ipcPath, 'eth_getBlockByNumber', ['latest', false])).toMatchObject({ hash: blockHash });
  });

  it('seals nothing until it is told to', async () => {
    const sealerKey = randomBytes(32);
    const genesis = cliqueGenesis({ chainId: CHAIN, period: 0, signers: [sealerOf(sealerKey).address] });
    const node = await started({ genesis, sealerKey, bootMine: false });
    const hash = await ipcCall<string>(node.ipcPath, 'eth_sendRawTransaction', [
      emptyTransaction(sealerOf(randomBytes(32)), 0),
    ]).catch(() => undefined);
    expect(await ipcCall<boolean>(node.ipcPath, 'eth_mining')).toBe(false);
    expect(await height(node)).toBe(0);
    await node.startSealing();
    const next =
      hash ??
      (await ipcCall<string>(node.ipcPath, 'eth_sendRawTransaction', [emptyTransaction(sealerOf(randomBytes(32)), 0)]));
    await mined(node, next);
  });

  it('refuses a folder of another chain', async () => {
    const sealerKey = randomBytes(32);
    const genesis = cliqueGenesis({ chainId: CHAIN, period: 0, signers: [sealerOf(sealerKey).address] });
    const node = await started({ genesis, sealerKey });
    await node.stop();
    const other = cliqueGenesis({ chainId: CHAIN + 1, period: 0, signers: [sealerOf(sealerKey).address] });
    await expect(started({ genesis: other, sealerKey })).rejects.toThrow('another genesis');
  });

  it('stops what a killed run left on its folder', async () => {
    const sealerKey = randomBytes(32);
    const genesis = cliqueGenesis({ chainId: CHAIN, period: 0, signers: [sealerOf(sealerKey).address] });
    const first = await started({ genesis, sealerKey });
    const second = await started({ genesis, sealerKey });
    expect(isAlive(first.pid)).toBe(false);
    expect(await height(second)).toBe(0);
  });

  it('works in a folder too deep for a unix socket', async () => {
    const sealerKey = randomBytes(32);
    const genesis = cliqueGenesis({ chainId: CHAIN, period: 0, signers: [sealerOf(sealerKey).address] });
    const node = await started({ genesis, sealerKey, dir: join(dir, 'a-rather-long-name/'.repeat(6)) });
    expect(await height(node)).toBe(0);
  });

  it('seals together with a peer, and a transaction given to one is mined for both', async () => {
    const keys = [randomBytes(32), randomBytes(32)] as const;
    const genesis = cliqueGenesis({ chainId: CHAIN, period: 1, signers: keys.map((key) => sealerOf(key).address) });
    const a = await started({ genesis, sealerKey: keys[0], dir: join(dir, 'a'), p2pPort: 0, maxPeers: 1 });
    const b = await started({ genesis, sealerKey: keys[1], dir: join(dir, 'b'), p2pPort: 0, maxPeers: 1 });
    const port = Number(/:(\d+)/.exec((a.enode ?? '').split('@')[1] ?? '')?.[1]);
    expect(a.enode).toContain('@127.0.0.1:');
    await new Promise<void>((resolve, reject) => {
      const socket = createConnection({ host: '127.0.0.1', port }, () => {
        socket.destroy();
        resolve();
      }).once('error', reject);
    });
    await Promise.all([addPeers(a.ipcPath, [b.enode ?? '']), addPeers(b.ipcPath, [a.enode ?? ''])]);
    await until(async () => (await peerCount(a.ipcPath)) > 0, 'the peers');
    await until(async () => (await height(a)) >= 2 && (await height(b)) >= 2, 'two blocks on both');
    const hash = await ipcCall<string>(b.ipcPath, 'eth_sendRawTransaction', [
      emptyTransaction(sealerOf(randomBytes(32)), 0),
    ]);
    await mined(b, hash);
    await mined(a, hash);
  });
});

describe.skipIf(!pow)('a geth that mines', () => {
  it.each([
    ["the paper's genesis", paperGenesis()],
    ['one to work with', powGenesis({ chainId: 80, difficulty: 200_000 })],
  ])('reads %s, and its block 0 has the hash that we compute', async (_, genesis) => {
    const node = await started({ geth: pow!, genesis, networkId: 80, bootMine: false });
    expect(node.genesisHash).toBe(genesisHash(genesis));
  });

  it('is asked for: the one that seals Clique is not started on proof of work', async () => {
    const genesis = powGenesis({ chainId: 80, difficulty: 200_000 });
    const one = { path: '/bin/false', version: '1.13.15' };
    await expect(started({ geth: one, genesis, bootMine: false })).rejects.toThrow("1.13.15 can't mine");
  });
});

describe.skipIf(!findAnvil())('Anvil in place of geth', () => {
  it('mines a free transaction and keeps its genesis and its blocks over a restart', async () => {
    const first = await startAnvil({ dir, chainId: CHAIN, period: 0, logger });
    try {
      const hash = await ipcCall<string>(first.ipcPath, 'eth_sendRawTransaction', [
        emptyTransaction(sealerOf(randomBytes(32)), 0),
      ]);
      const { blockHash } = await mined(first, hash);
      await first.stop();
      const second = await startAnvil({ dir, chainId: CHAIN, period: 0, logger });
      try {
        expect(second.genesisHash).toBe(first.genesisHash);
        expect(await ipcCall(second.ipcPath, 'eth_getBlockByNumber', ['0x1', false])).toMatchObject({
          hash: blockHash,
        });
      } finally {
        await second.stop();
      }
    } finally {
      await first.kill();
    }
  });
});
