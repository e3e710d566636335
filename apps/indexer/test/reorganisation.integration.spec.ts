import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import type { DataSource } from 'typeorm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type AnvilNode, startAnvil } from '../../../deploy/geth/anvil.js';
import { deployLedger } from '../../../deploy/geth/deploy-ledger.js';
import { connectRpc, type RpcTransport } from '../../../libs/chain-client/src/rpc/transport.js';
import { createDataSource } from '../../../libs/database/src/data-source.js';
import { fromHex } from '../../../libs/platform/src/bytes.js';
import { testHospital } from '../../../test/stack/chain.js';
import { freshDatabase, type TestDatabase } from '../../../test/stack/database.js';
import { NetworkRunner } from '../src/follow/network.runner.js';
import { RpcSource } from '../src/follow/rpc-source.js';
import { IndexerMetrics } from '../src/health/metrics.js';
import { chainEvents, mirroredEvents } from './chain-oracle.js';
import { LedgerLoad } from './ledger-load.js';

const CHAIN_ID = 710_077;
const DEPTH = 50;

let dir: string;
let node: AnvilNode;
let database: TestDatabase;
let dataSource: DataSource;
let rpc: RpcTransport;
let sql: pg.Client;
let load: LedgerLoad;
let contract: string;
let runner: NetworkRunner;
let running: Promise<void>;
const stop = new AbortController();

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'emr-reorganisation-'));
  const hospital = testHospital(1);
  const logger = { info: () => undefined, warn: () => undefined };
  [node, database] = await Promise.all([startAnvil({ dir, chainId: CHAIN_ID, period: 0, logger }), freshDatabase()]);
  const relayerKey = hospital.relayerKeys[0] as Buffer;
  const ledger = await deployLedger({
    ipcPath: node.ipcPath,
    chainId: CHAIN_ID,
    deployerKey: relayerKey,
    hospitals: [hospital.entry],
    threshold: 1,
  });
  contract = ledger.contract;
  load = new LedgerLoad({
    rpcUrl: node.ipcPath,
    chainId: CHAIN_ID,
    contract,
    relayerKey,
    registrarKey: hospital.registrarKey,
  });
  dataSource = createDataSource({ url: database.mirrorUrl, applicationName: 'emr-indexer-test', searchPath: 'mirror' });
  sql = new pg.Client({ connectionString: database.superuserUrl });
  await Promise.all([dataSource.initialize(), sql.connect()]);
  rpc = connectRpc(node.ipcPath);
  runner = new NetworkRunner(
    {
      name: 'local',
      chainId: BigInt(CHAIN_ID),
      rpc: node.ipcPath,
      contract: fromHex(contract),
      startBlock: ledger.startBlock,
      genesisHash: fromHex(node.genesisHash),
      finalityDepth: DEPTH,
      gasLimit: 60_000_000,
      storeRawBlocks: false,
      relayers: [],
    },
    {
      dataSource,
      source: new RpcSource(rpc),
      metrics: new IndexerMetrics(),
      log: { log: () => undefined, warn: () => undefined, error: () => undefined },
    },
  );
  running = runner.run(stop.signal);
});
afterAll(async () => {
  stop.abort();
  await running;
  await Promise.all([load?.close(), rpc?.close(), sql?.end(), dataSource?.destroy()]);
  await node?.stop();
  await database?.drop();
  if (dir) await rm(dir, { recursive: true, force: true });
});

async function untilState(reached: (state: NetworkRunner['state']) => boolean): Promise<void> {
  for (const deadline = Date.now() + 60_000; !reached(runner.state); ) {
    if (Date.now() > deadline) throw new Error(`not reached: ${JSON.stringify(runner.state)}`);
    await new Promise((wake) => setTimeout(wake, 10));
  }
}

async function untilCaughtUp(): Promise<void> {
  const { hash } = await load.request<{ hash: string }>('eth_getBlockByNumber', ['latest', false]);
  await untilState(({ mirror }) => mirror?.tip.hash.equals(fromHex(hash)) ?? false);
}

describe('a node that reorganises (Anvil)', () => {
  it('has its orphans set aside and its new chain mirrored, forty blocks deep', async () => {
    await load.prepare(3);
    const before = await load.request<string>('evm_snapshot');
    for (let block = 0; block < 40; block++) await load.mined(load.queries(3));
    await untilCaughtUp();
    const orphans = await mirroredEvents(sql);

    await load.request('evm_revert', [before]);
    load.forgetNonce();
    await load.mined([load.open(), load.open()]);
    for (let block = 0; block < 41; block++) await load.mined(load.queries(2));
    await untilCaughtUp();

    const mirrored = await mirroredEvents(sql);
    expect(mirrored).toEqual(await chainEvents(load, contract));
    const canonical = new Set(mirrored.map(({ block }) => block));
    const { rows } = await sql.query<{ block: string }>(
      `SELECT '0x' || encode(block_hash, 'hex') AS block FROM mirror.orphaned_event`,
    );
    expect(rows.map(({ block }) => block).sort()).toEqual(
      orphans
        .filter(({ block }) => !canonical.has(block))
        .map(({ block }) => block)
        .sort(),
    );
    expect(rows).toHaveLength(120);
    const noted = await sql.query('SELECT depth, beyond_finality FROM mirror.reorganisation');
    expect(noted.rows).toEqual([{ depth: 40, beyond_finality: false }]);
    const records = await sql.query(
      'SELECT max(record_sequence)::int AS sequence, count(*)::int AS count FROM mirror.record',
    );
    // 82 queries over five records, after an opening each.
    expect(records.rows[0].count).toBe(5);
  });

  it('stops that network when what was final is replaced, and keeps what it has', async () => {
    const before = await load.request<string>('evm_snapshot');
    for (let block = 0; block < DEPTH + 5; block++) await load.mined(load.queries(1));
    await untilCaughtUp();
    const mirrored = await mirroredEvents(sql);
    await load.request('evm_revert', [before]);
    load.forgetNonce();
    for (let block = 0; block < DEPTH + 6; block++) await load.mined(load.queries(2));
    await untilState(({ phase }) => phase === 'stopped');
    expect(runner.state.stoppedReason).toMatch(/beyond finality/);
    expect(await mirroredEvents(sql)).toEqual(mirrored);
    const incidents = await sql.query('SELECT depth FROM mirror.reorganisation WHERE beyond_finality');
    expect(incidents.rows).toHaveLength(1);
    const { rows } = await sql.query('SELECT stopped_reason FROM mirror.cursor');
    expect(rows[0].stopped_reason).toMatch(/beyond finality/);
  });
});
