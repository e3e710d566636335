import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestChain, type TestChain } from '../../../test/stack/chain.js';
import { freshDatabase, type TestDatabase } from '../../../test/stack/database.js';
import { IndexerProcess, writeNetworksFile } from './indexer-process.js';
import { LedgerLoad } from './ledger-load.js';

let chain: TestChain;
let database: TestDatabase;
let dir: string;
let load: LedgerLoad;
let indexer: IndexerProcess;
let sql: pg.Client;

beforeAll(async () => {
  [chain, database, dir] = await Promise.all([
    startTestChain(),
    freshDatabase(),
    mkdtemp(join(tmpdir(), 'emr-indexer-')),
  ]);
  load = new LedgerLoad({ ...chain, relayerKey: chain.relayerKeys[0] as Buffer });
  indexer = new IndexerProcess({
    databaseUrl: database.mirrorUrl,
    networksFile: await writeNetworksFile(dir, [{ ...chain, name: 'local' }]),
  });
  sql = new pg.Client({ connectionString: database.superuserUrl });
  await sql.connect();
});
afterAll(async () => {
  await indexer?.stop();
  await load?.close();
  await sql?.end();
  await chain?.stop();
  await database?.drop();
  if (dir) await rm(dir, { recursive: true, force: true });
});

describe('the indexer', () => {
  it('mirrors what a real node mined before and while it runs', async () => {
    await load.prepare(4);
    await indexer.start();
    await indexer.until(({ status }) => status === 'ready');
    for (let round = 0; round < 20; round++) await load.mined(load.queries(3));
    const head = BigInt(await load.request<string>('eth_blockNumber'));
    await indexer.until(({ networks }) => networks.local?.cursor?.number === `${head}`);
    const { rows } = await sql.query('SELECT type, count(*)::int AS count FROM mirror.emr_event GROUP BY 1 ORDER BY 1');
    expect(rows).toEqual([
      { type: 'ActorRegistered', count: 1 },
      { type: 'HospitalRegistered', count: 1 },
      { type: 'RecordOpened', count: 4 },
      { type: 'RecordQueried', count: 60 },
      { type: 'RelayerChanged', count: 1 },
    ]);
  });
});
