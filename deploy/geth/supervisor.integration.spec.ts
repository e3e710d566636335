import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Transaction, Wallet } from 'ethers';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { freshDatabase, type TestDatabase } from '../../test/stack/database.js';
import { findGeth } from './binary.js';
import { tieProcessesToUs } from './child-process.js';
import { cliqueGenesis } from './genesis.js';
import { ipcCall } from './ipc.js';
import { type GethNode, startNode } from './node.js';
import { peerCount } from './peering.js';
import { type SupervisedNode, type SupervisorOptions, superviseNode } from './supervisor.js';

const warnings: string[] = [];
const logger = { info: () => {}, warn: (line: string) => void warnings.push(line) };
const geth = await findGeth({ env: process.env, logger, build: false });
tieProcessesToUs();
const CHAIN = 710_020;
let dir: string;
let database: TestDatabase;
let mirror: pg.Client;
const supervised: SupervisedNode[] = [];

beforeAll(async () => {
  database = await freshDatabase();
  mirror = new pg.Client({ connectionString: database.mirrorUrl });
  await mirror.connect();
});
afterAll(async () => {
  await mirror?.end();
  await database?.drop();
});
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'emr-supervisor-'));
  warnings.length = 0;
  await mirror.query('DELETE FROM mirror.block; DELETE FROM mirror.cursor');
});
afterEach(async () => {
  await Promise.all(supervised.splice(0).map((each) => each.stop()));
  await rm(dir, { recursive: true, force: true });
});

const addressOf = (key: Buffer) => new Wallet(`0x${key.toString('hex')}`).address;
const bytes = (hex: string) => Buffer.from(hex.slice(2), 'hex');

async function until<T>(
  probe: () => Promise<T | undefined | false | null> | T | undefined | false | null,
  what: string,
  patienceMs = 60_000,
) {
  for (const deadline = Date.now() + patienceMs; Date.now() < deadline; ) {
    const value = await probe();
    if (value) return value;
    await new Promise((wake) => setTimeout(wake, 25));
  }
  throw new Error(`waited ${patienceMs / 1000} s for ${what}`);
}

interface Block {
  number: string;
  hash: string;
  parentHash: string;
  timestamp: string;
  receiptsRoot: string;
}
const blockAt = (ipcPath: string, at: string) => ipcCall<Block>(ipcPath, 'eth_getBlockByNumber', [at, false]);

/** What the indexer does, in small: raw block and cursor in one commit, each block after its parent. */
async function storeNext(ipcPath: string, next: number): Promise<boolean> {
  const at = `0x${next.toString(16)}`;
  const block = await blockAt(ipcPath, at);
  if (!block) return false;
  const raw = bytes(await ipcCall<string>(ipcPath, 'debug_getRawBlock', [at]));
  await mirror.query('BEGIN');
  await mirror.query(
    `INSERT INTO mirror.block (network, number, hash, parent_hash, time, receipts_root, header, raw, log_count, verified, sequence, head)
     VALUES ('local', $1, $2, $3, $4, $5, '', $6, 0, true, 0, '')`,
    [next, bytes(block.hash), bytes(block.parentHash), Number(block.timestamp), bytes(block.receiptsRoot), raw],
  );
  await mirror.query(
    `INSERT INTO mirror.cursor (network, number, hash, final_number, sequence, head, epoch) VALUES ('local', $1, $2, $1, 0, '', 1)
     ON CONFLICT (network) DO UPDATE SET number = $1, hash = $2, final_number = $1`,
    [next, bytes(block.hash)],
  );
  await mirror.query('COMMIT');
  return true;
}

async function storeAll(ipcPath: string, from = 1): Promise<number> {
  let next = from;
  while (await storeNext(ipcPath, next)) next += 1;
  return next - 1;
}

async function send(ipcPath: string, wallet: Wallet, nonce: number): Promise<string> {
  const transaction = Transaction.from({
    type: 0,
    chainId: CHAIN,
    nonce,
    gasPrice: 0,
    gasLimit: 21_000,
    to: wallet.address,
  });
  transaction.signature = wallet.signingKey.sign(transaction.unsignedHash);
  return ipcCall<string>(ipcPath, 'eth_sendRawTransaction', [transaction.serialized]);
}

/** Sends until the node is gone. @returns how many it took */
async function sendUntilGone(ipcPath: string, wallet: Wallet, most = 100_000): Promise<number> {
  for (let nonce = 0; nonce < most; nonce += 1) {
    try {
      await send(ipcPath, wallet, nonce);
    } catch {
      return nonce;
    }
  }
  return most;
}

const newWallet = () => new Wallet(`0x${randomBytes(32).toString('hex')}`);
const mined = (ipcPath: string, count: number, patienceMs?: number) =>
  until(async () => Number((await blockAt(ipcPath, 'latest')).number) >= count, `${count} blocks`, patienceMs);

function localOptions(sealerKey: Buffer, change: Partial<SupervisorOptions> = {}): SupervisorOptions {
  if (!geth) throw new Error('no geth');
  const genesis = cliqueGenesis({ chainId: CHAIN, period: 0, signers: [addressOf(sealerKey)] });
  const from = { url: database.nodeUrl, network: 'local' };
  return {
    title: 'local',
    geth,
    dir,
    genesis,
    networkId: CHAIN,
    sealerKey,
    mirror: from,
    logger,
    lockFolder: join(dir, 'locks'),
    ...change,
  };
}

async function supervise(options: SupervisorOptions): Promise<SupervisedNode> {
  const node = await superviseNode(options);
  supervised.push(node);
  return node;
}

const nodeOf = (node: SupervisedNode) => node.current() as GethNode;

describe.skipIf(!geth)('a supervised local node', () => {
  it('killed under load comes back by itself, with everything the mirror has confirmed, and seals on', async () => {
    const sealerKey = randomBytes(32);
    const local = await supervise(localOptions(sealerKey));
    await local.ready;
    const { ipcPath, pid } = nodeOf(local);
    const load = sendUntilGone(ipcPath, newWallet());
    let stored = 0;
    while (stored < 60) if (await storeNext(ipcPath, stored + 1)) stored += 1;
    process.kill(pid, 'SIGKILL');
    expect(await load).toBeGreaterThan(0);

    await until(
      () => local.current() && nodeOf(local).pid !== pid && warnings.some((line) => line.includes('SIGKILL')),
      'another node',
    );
    await until(() => ipcCall<boolean>(nodeOf(local).ipcPath, 'eth_mining').catch(() => false), 'sealing');
    const { rows } = await mirror.query('SELECT number, hash FROM mirror.cursor');
    const again = await blockAt(nodeOf(local).ipcPath, `0x${Number(rows[0].number).toString(16)}`);
    expect(again.hash).toBe(`0x${rows[0].hash.toString('hex')}`);
    const before = Number((await blockAt(nodeOf(local).ipcPath, 'latest')).number);
    await send(nodeOf(local).ipcPath, newWallet(), 0);
    await mined(nodeOf(local).ipcPath, before + 1);
  });

  it('that lost its whole chain gets the identical head from the mirror before it seals', async () => {
    const sealerKey = randomBytes(32);
    const first = await supervise(localOptions(sealerKey));
    await first.ready;
    const wallet = newWallet();
    for (let nonce = 0; nonce < 30; nonce += 1) {
      await send(nodeOf(first).ipcPath, wallet, nonce);
      await mined(nodeOf(first).ipcPath, nonce + 1);
    }
    const head = await blockAt(nodeOf(first).ipcPath, 'latest');
    expect(await storeAll(nodeOf(first).ipcPath)).toBe(Number(head.number));
    await first.stop();
    await rm(join(dir, 'geth', 'chaindata'), { recursive: true });

    const second = await supervise(localOptions(sealerKey));
    await second.ready;
    expect(await blockAt(nodeOf(second).ipcPath, 'latest')).toEqual(head);
    expect(warnings.join('\n')).toContain(`up to 0 of ${Number(head.number)} confirmed`);
  });

  it('that sealed other blocks in place of confirmed ones takes the confirmed ones back', async () => {
    const sealerKey = randomBytes(32);
    const options = localOptions(sealerKey);
    const first = await supervise(options);
    await first.ready;
    const wallet = newWallet();
    for (let nonce = 0; nonce < 6; nonce += 1) {
      await send(nodeOf(first).ipcPath, wallet, nonce);
      await mined(nodeOf(first).ipcPath, nonce + 1);
    }
    const confirmed = await storeAll(nodeOf(first).ipcPath);
    const hash = (await blockAt(nodeOf(first).ipcPath, 'latest')).hash;
    await first.stop();

    // Without a supervisor: rolled back, and sealing a longer history of its own.
    const careless = await startNode({ ...options, bootMine: false });
    await ipcCall(careless.ipcPath, 'debug_setHead', ['0x3']);
    await careless.startSealing();
    const other = newWallet();
    for (let nonce = 0; nonce < 8; nonce += 1) {
      await send(careless.ipcPath, other, nonce);
      await mined(careless.ipcPath, 4 + nonce);
    }
    expect((await blockAt(careless.ipcPath, `0x${confirmed.toString(16)}`)).hash).not.toBe(hash);
    await careless.stop();

    const second = await supervise(options);
    await second.ready;
    expect((await blockAt(nodeOf(second).ipcPath, `0x${confirmed.toString(16)}`)).hash).toBe(hash);
  });

  it('does not seal while the mirror cannot be asked', async () => {
    const sealerKey = randomBytes(32);
    const nowhere = new URL(database.nodeUrl);
    nowhere.port = '1';
    const local = await supervise(localOptions(sealerKey, { mirror: { url: nowhere.href, network: 'local' } }));
    await until(() => warnings.some((line) => line.includes('not sealing yet')), 'the warning');
    expect(await ipcCall<boolean>(nodeOf(local).ipcPath, 'eth_mining')).toBe(false);
  });

  it('is the only one to seal with its key', async () => {
    const sealerKey = randomBytes(32);
    const first = await supervise(localOptions(sealerKey));
    const elsewhere = localOptions(sealerKey, { dir: join(dir, 'copy') });
    await expect(superviseNode(elsewhere)).rejects.toThrow('in use');
    await first.stop();
    await supervise(elsewhere);
  });
});

describe.skipIf(!geth)('supervised nodes of a global network', () => {
  it('find each other, and again after a crash of one', async () => {
    const keys = [randomBytes(32), randomBytes(32)] as const;
    const genesis = cliqueGenesis({ chainId: CHAIN, period: 1, signers: keys.map(addressOf) });
    const both: SupervisedNode[] = [];
    const peers = () => both.flatMap((each) => each.current()?.enode ?? []);
    const shape = (i: 0 | 1) =>
      localOptions(keys[i], {
        title: `global ${i}`,
        dir: join(dir, String(i)),
        genesis,
        mirror: undefined,
        peers,
        p2pPort: 0,
        maxPeers: 1,
        peerIntervalMs: 200,
      });
    both.push(await supervise(shape(0)), await supervise(shape(1)));
    const [a, b] = both as [SupervisedNode, SupervisedNode];
    await mined(nodeOf(a).ipcPath, 2);
    const { pid } = nodeOf(b);
    process.kill(pid, 'SIGKILL');
    await until(() => b.current() && nodeOf(b).pid !== pid, 'the second node again');
    await until(async () => (await peerCount(nodeOf(b).ipcPath)) > 0, 'its peer');
    const height = Number((await blockAt(nodeOf(a).ipcPath, 'latest')).number);
    // Two sealers that took different turns while they were apart stand still until one is started again, after 20 s, then 40 s.
    await mined(nodeOf(a).ipcPath, height + 2, 180_000);
    await mined(nodeOf(b).ipcPath, height + 2, 180_000);
  }, 420_000);
});
