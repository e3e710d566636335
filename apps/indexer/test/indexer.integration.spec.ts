import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Operation } from '../../../libs/contracts/src/operations.js';
import { parameters } from '../../../libs/contracts/src/parameters.js';
import { startTestChain, type TestChain } from '../../../test/stack/chain.js';
import { freshDatabase, type TestDatabase } from '../../../test/stack/database.js';
import { chainEvents, mirroredEvents } from './chain-oracle.js';
import { IndexerProcess, writeNetworksFile } from './indexer-process.js';
import { LedgerLoad } from './ledger-load.js';
import { type Transpiled, transpileIndexer } from './transpile.js';

let chain: TestChain;
let database: TestDatabase;
let dir: string;
let load: LedgerLoad;
let indexer: IndexerProcess;
let sql: pg.Client;
let program: Transpiled;

beforeAll(async () => {
  [program, chain, database, dir] = await Promise.all([
    transpileIndexer(),
    startTestChain(),
    freshDatabase(),
    mkdtemp(join(tmpdir(), 'emr-indexer-')),
  ]);
  load = new LedgerLoad({ ...chain, relayerKey: chain.relayerKeys[0] as Buffer });
  indexer = await newIndexer();
  sql = new pg.Client({ connectionString: database.superuserUrl });
  await sql.connect();
});
afterAll(async () => {
  await indexer?.stop();
  await load?.close();
  await sql?.end();
  await chain?.stop();
  await database?.drop();
  await program?.remove();
  if (dir) await rm(dir, { recursive: true, force: true });
});

async function newIndexer(): Promise<IndexerProcess> {
  const networksFile = await writeNetworksFile(dir, [{ ...chain, name: 'local' }]);
  return new IndexerProcess({ main: program.main, databaseUrl: database.mirrorUrl, networksFile });
}

async function caughtUp(follower: IndexerProcess): Promise<void> {
  const head = BigInt(await load.request<string>('eth_blockNumber'));
  await follower.until(({ networks }) => networks.local?.cursor?.number === `${head}`);
}

describe('the indexer', () => {
  it('mirrors what a real node mined before and while it runs', async () => {
    await load.prepare(4);
    await indexer.start();
    await indexer.until(({ status }) => status === 'ready');
    for (let round = 0; round < 20; round++) await load.mined(load.queries(3));
    await caughtUp(indexer);
    const { rows } = await sql.query('SELECT type, count(*)::int AS count FROM mirror.emr_event GROUP BY 1 ORDER BY 1');
    expect(rows).toEqual([
      { type: 'ActorRegistered', count: 1 },
      { type: 'HospitalRegistered', count: 1 },
      { type: 'RecordOpened', count: 4 },
      { type: 'RecordQueried', count: 60 },
      { type: 'RelayerChanged', count: 1 },
    ]);
    expect(await mirroredEvents(sql)).toEqual(await chainEvents(load, chain.contract));
  });

  it('records refusals, duplicates and forgeries, and every transaction to the ledger', async () => {
    const record = load.records[0] as Buffer;
    const repeated = load.query(record);
    const forged = load.intent(Operation.QUERY, { recordId: record, parameters: repeated.parameters, forged: true });
    const stale = load.intent(Operation.AMEND, {
      recordId: record,
      parameters: parameters.amend({ expectedVersion: 9, contentHash: Buffer.alloc(32, 1) }),
    });
    await load.mined([repeated, repeated, forged, stale]);
    await caughtUp(indexer);
    const notices = await sql.query('SELECT kind, position FROM mirror.notice ORDER BY position');
    expect(notices.rows).toEqual([
      { kind: 'duplicate', position: 1 },
      { kind: 'bad-signature', position: 2 },
    ]);
    const denied = await sql.query(
      `SELECT operation, outcome FROM mirror.emr_event WHERE type = 'AccessDenied' AND request_id = $1`,
      [stale.requestId],
    );
    expect(denied.rows).toEqual([{ operation: Operation.AMEND, outcome: 13 }]);
    const included = await sql.query(
      'SELECT count(*)::int AS count, max(nonce)::int AS nonce FROM mirror.inclusion WHERE status = 1',
    );
    // The deployment has nonce 0; the ledger spoke in it.
    expect(included.rows[0]).toEqual({ count: included.rows[0].nonce + 1, nonce: expect.any(Number) });
  });

  it('stores blocks raw, byte for byte as the node has them', async () => {
    const { rows } = await sql.query<{ number: string; raw: Buffer }>(
      'SELECT number, raw FROM mirror.block WHERE number > 0 ORDER BY number DESC LIMIT 5',
    );
    for (const { number, raw } of rows) {
      const given = await load.request<string>('debug_getRawBlock', [`0x${BigInt(number).toString(16)}`]);
      expect(`0x${raw.toString('hex')}`).toBe(given);
    }
  });

  it('loses and doubles nothing when it is killed again and again under load', async () => {
    let loading = true;
    const sending = (async () => {
      while (loading) await load.mined(load.queries(5));
    })();
    try {
      for (let kill = 0; kill < 6; kill++) {
        await new Promise((wake) => setTimeout(wake, 150 + 90 * kill));
        await indexer.kill();
        await indexer.start();
        await indexer.until(({ networks }) => networks.local?.cursor !== undefined);
      }
    } finally {
      loading = false;
      await sending;
    }
    await caughtUp(indexer);
    expect(await mirroredEvents(sql)).toEqual(await chainEvents(load, chain.contract));
  });

  it('lets a second indexer stand by, which takes over when the first is killed', async () => {
    const second = await newIndexer();
    await second.start();
    try {
      await second.until(({ status }) => status === 'standby');
      await indexer.kill();
      await second.until(({ status }) => status === 'ready');
      await load.mined(load.queries(2));
      await caughtUp(second);
      expect(await mirroredEvents(sql)).toEqual(await chainEvents(load, chain.contract));
    } finally {
      await second.stop();
    }
  });

  it('waits for its node, and goes on when it is back', async () => {
    await indexer.start();
    await indexer.until(({ status }) => status === 'ready');
    await chain.kill();
    await indexer.until(({ status }) => status === 'degraded');
    await chain.restart();
    await load.mined(load.queries(2));
    await caughtUp(indexer);
    await indexer.until(({ status }) => status === 'ready');
  });

  it('serves health and metrics', async () => {
    expect((await indexer.get('/health/live')).status).toBe(200);
    expect((await indexer.get('/health/ready')).status).toBe(200);
    expect((await indexer.get('/metrics')).text).toMatch(/emr_indexer_sequence\{network="local"\} \d+/);
  });

  it('refuses a node that serves another chain, says so, and keeps serving health', async () => {
    await indexer.stop();
    const networksFile = await writeNetworksFile(dir, [
      { ...chain, name: 'local', genesisHash: `0x${'ab'.repeat(32)}` },
    ]);
    const misled = new IndexerProcess({ main: program.main, databaseUrl: database.mirrorUrl, networksFile });
    await misled.start();
    try {
      const { status, networks } = await misled.until((health) => health.networks.local?.phase === 'stopped');
      expect(status).toBe('degraded');
      expect(networks.local?.stoppedReason).toMatch(/genesis hash/);
      expect((await misled.get('/health/live')).status).toBe(200);
      expect((await misled.get('/health/ready')).status).toBe(503);
    } finally {
      await misled.stop();
    }
  });
});
