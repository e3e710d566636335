import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import type { DataSource } from 'typeorm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { addressOf, newKey } from '../../../libs/chain-client/src/keys/secp256k1.js';
import { connectRpc, type RpcTransport } from '../../../libs/chain-client/src/rpc/transport.js';
import { Operation } from '../../../libs/contracts/src/operations.js';
import { parameters } from '../../../libs/contracts/src/parameters.js';
import { createDataSource } from '../../../libs/database/src/data-source.js';
import { fromHex } from '../../../libs/platform/src/bytes.js';
import { startTestChain, type TestChain } from '../../../test/stack/chain.js';
import { freshDatabase, type TestDatabase } from '../../../test/stack/database.js';
import { NetworkRunner } from '../src/follow/network.runner.js';
import { RpcSource } from '../src/follow/rpc-source.js';
import { IndexerMetrics } from '../src/health/metrics.js';
import { chainEvents, mirroredEvents } from './chain-oracle.js';
import { IndexerProcess, writeNetworksFile } from './indexer-process.js';
import { LedgerLoad } from './ledger-load.js';
import { counting, filing, lacking } from './node-variants.js';
import { type Transpiled, transpileIndexer } from './transpile.js';

let chain: TestChain;
let database: TestDatabase;
let dataSource: DataSource;
let sql: pg.Client;
let load: LedgerLoad;
let program: Transpiled;
let dir: string;
let head: bigint;

beforeAll(async () => {
  [program, chain, database, dir] = await Promise.all([
    transpileIndexer(),
    startTestChain({ relayers: 2 }),
    freshDatabase(),
    mkdtemp(join(tmpdir(), 'emr-backfill-')),
  ]);
  dataSource = createDataSource({ url: database.mirrorUrl, applicationName: 'emr-test', searchPath: 'mirror' });
  sql = new pg.Client({ connectionString: database.superuserUrl });
  await Promise.all([dataSource.initialize(), sql.connect()]);
  load = new LedgerLoad({ ...chain, relayerKey: chain.relayerKeys[0] as Buffer });
  const second = new LedgerLoad({ ...chain, relayerKey: chain.relayerKeys[1] as Buffer });
  await load.prepare(8);
  await second.prepare(3);
  // With two relayers a sender is recovered, with one it follows from the events: both happen, and the change between them.
  for (let block = 0; block < 10; block++)
    await (block % 2 ? load : second).mined((block % 2 ? load : second).queries(3));
  const leaving = addressOf(chain.relayerKeys[1] as Buffer);
  const end = parameters.setRelayer({ relayer: leaving, active: false });
  await load.mined([load.intent(Operation.SET_RELAYER, { key: chain.registrarKey, parameters: end })]);
  await second.send(second.queries(1)); // reverts: no relayer any more
  const [query] = load.queries(1);
  await load.mined([query!, query!, load.intent(Operation.QUERY, { parameters: Buffer.alloc(3), forged: true })]);
  await load.mined([load.open(), load.query(newKey())]);
  for (let block = 0; block < 60; block++) await load.mined(load.queries(40));
  await second.close();
  head = BigInt(await load.request<string>('eth_blockNumber'));
});
afterAll(async () => {
  await load?.close();
  await sql?.end();
  await dataSource?.destroy();
  await chain?.stop();
  await database?.drop();
  await program?.remove();
  if (dir) await rm(dir, { recursive: true, force: true });
});

/** Mirrors the whole chain under a network name of its own. */
async function mirror(name: string, rpc: RpcTransport, options: { trustNode?: boolean } = {}): Promise<void> {
  const network = {
    ...{ name, chainId: BigInt(chain.chainId), rpc: chain.rpcUrl, contract: fromHex(chain.contract), finalityDepth: 1 },
    ...{ startBlock: chain.startBlock, genesisHash: fromHex(chain.genesisHash), gasLimit: 60_000_000 },
    ...{ storeRawBlocks: true, relayers: [] },
  };
  const log = { log: () => undefined, warn: () => undefined, error: () => undefined };
  const dependencies = { dataSource, source: new RpcSource(rpc), metrics: new IndexerMetrics(), log, ...options };
  const runner = new NetworkRunner(network, dependencies);
  const stop = new AbortController();
  const running = runner.run(stop.signal);
  for (const deadline = Date.now() + 60_000; runner.state.mirror?.tip.number !== head; ) {
    if (Date.now() > deadline) throw new Error(`not reached: ${JSON.stringify(runner.state)}`);
    await new Promise((wake) => setTimeout(wake, 10));
  }
  stop.abort();
  await running;
}

const TABLES = [
  ...['block', 'emr_event', 'inclusion', 'notice', 'record', 'record_version', 'relation', 'actor', 'hospital'],
  'relayer',
];

/** Every row of a network's mirror but the network's name, table by table. */
async function rowsOf(name: string, omit: string[] = []): Promise<Record<string, string[]>> {
  const all: Record<string, string[]> = {};
  for (const table of TABLES) {
    const { rows } = await sql.query<{ row: string }>(
      `SELECT (to_jsonb(t) - 'network' - $2::text[])::text AS row FROM mirror.${table} t WHERE network = $1 ORDER BY 1`,
      [name, omit],
    );
    all[table] = rows.map(({ row }) => row);
  }
  return all;
}

describe('a backfill', () => {
  it('stores the same from raw blocks, from the database, from JSON, and from a node without eth_getBlockReceipts', async () => {
    const rpc = connectRpc(chain.rpcUrl);
    await mirror('raw', lacking(rpc, 'debug_db'));
    const answered = new Map<string, number>();
    await mirror('stored', counting(rpc, answered));
    expect(answered.get('debug_dbGet')).toBeGreaterThan(4 * Number(head - chain.startBlock));
    expect(answered.get('debug_getRawBlock')).toBeLessThan(10);
    await mirror('json', lacking(rpc, 'debug_'));
    await mirror('plain', lacking(lacking(rpc, 'debug_'), 'eth_getBlockReceipts'));
    const raw = await rowsOf('raw');
    expect(raw.emr_event!.length).toBeGreaterThan(2_400);
    expect(raw.notice!.length).toBeGreaterThan(0);
    expect(raw.inclusion!.some((row) => row.includes('"status": 0'))).toBe(true);
    expect(new Set(raw.inclusion!.map((row) => (JSON.parse(row) as { sender: string }).sender)).size).toBe(2);
    expect(await rowsOf('stored')).toEqual(raw);
    expect(await rowsOf('json')).toEqual(raw);
    expect(await rowsOf('plain')).toEqual(raw);
    const mirrored = await mirroredEvents(sql, 'raw');
    expect(mirrored).toEqual(await chainEvents(load, chain.contract));
    await rpc.close();
  });

  it('stores the same from a node that moves its blocks into files', async () => {
    const rpc = connectRpc(chain.rpcUrl);
    const answered = new Map<string, number>();
    const border = (chain.startBlock + head) / 2n;
    await mirror('filed', counting(filing(rpc, border), answered));
    expect(answered.get('debug_dbAncient')).toBeGreaterThan(2 * Number(border - chain.startBlock));
    // The range that crosses the border.
    expect(answered.get('debug_getRawBlock')).toBeLessThan(Number(border - chain.startBlock));
    expect(await rowsOf('filed')).toEqual(await rowsOf('raw'));
    await mirror('filed and believed', filing(rpc, border), { trustNode: true });
    expect(await rowsOf('filed and believed', ['verified'])).toEqual(await rowsOf('raw', ['verified']));
    await rpc.close();
  });

  it('asks for nothing where a range is empty', async () => {
    const rpc = connectRpc(chain.rpcUrl);
    const source = new RpcSource(rpc);
    await source.identity();
    expect(await source.blocksByNumber(head + 1n, head)).toEqual([]);
    await rpc.close();
  });

  it('stores the same when the node is believed, and says of each block that it is unverified', async () => {
    const rpc = connectRpc(chain.rpcUrl);
    await mirror('believed', rpc, { trustNode: true });
    expect(await rowsOf('believed', ['verified'])).toEqual(await rowsOf('raw', ['verified']));
    const { rows } = await sql.query(
      `SELECT network, bool_or(verified) AS any, bool_and(verified) AS all FROM mirror.block
       WHERE network IN ('raw', 'believed') GROUP BY 1 ORDER BY 1`,
    );
    expect(rows).toEqual([
      { network: 'believed', any: false, all: false },
      { network: 'raw', any: true, all: true },
    ]);
    await rpc.close();
  });

  it('killed again and again in the middle has nothing double and nothing missing', async () => {
    const networksFile = await writeNetworksFile(dir, [{ ...chain, name: 'killed' }]);
    const indexer = new IndexerProcess({ main: program.main, databaseUrl: database.mirrorUrl, networksFile });
    const stored = async () => {
      const { rows } = await sql.query<{ count: number }>(
        `SELECT count(*)::int AS count FROM mirror.emr_event WHERE network = 'killed'`,
      );
      return rows[0]?.count as number;
    };
    const all = (await chainEvents(load, chain.contract)).length;
    let inTheMiddle = 0;
    for (let kills = 0; kills < 3; kills++) {
      const before = await stored();
      await indexer.start();
      for (const deadline = Date.now() + 30_000; (await stored()) === before && before < all; ) {
        if (Date.now() > deadline) throw new Error(`nothing was committed:\n${indexer.output}`);
        await new Promise((wake) => setTimeout(wake, 2));
      }
      await indexer.kill();
      if ((await stored()) < all) inTheMiddle++;
    }
    expect(inTheMiddle).toBeGreaterThan(0);
    await indexer.start();
    await indexer.until(({ networks }) => networks.killed?.cursor?.number === `${head}`);
    await indexer.stop();
    expect(await mirroredEvents(sql, 'killed')).toEqual(await chainEvents(load, chain.contract));
    expect(await rowsOf('killed')).toEqual(await rowsOf('raw'));
  });
});
