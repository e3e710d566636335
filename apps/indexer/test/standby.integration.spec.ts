import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { startTestChain, type TestChain } from '../../../test/stack/chain.js';
import { freshDatabase, type TestDatabase } from '../../../test/stack/database.js';
import { chainEvents, mirroredEvents } from './chain-oracle.js';
import { type HealthAnswer, IndexerProcess, writeNetworksFile } from './indexer-process.js';
import { LedgerLoad } from './ledger-load.js';
import { type Transpiled, transpileIndexer } from './transpile.js';

const NAMES = ['local', 'global'] as const;

let chains: TestChain[];
let loads: LedgerLoad[];
let database: TestDatabase;
let dir: string;
let sql: pg.Client;
let program: Transpiled;
let networksFile: string;
const started: IndexerProcess[] = [];

beforeAll(async () => {
  [program, database, dir, ...chains] = await Promise.all([
    transpileIndexer(),
    freshDatabase(),
    mkdtemp(join(tmpdir(), 'emr-standby-')),
    startTestChain({ chainId: 710_001 }),
    startTestChain({ chainId: 710_002 }),
  ]);
  loads = chains.map((chain) => new LedgerLoad({ ...chain, relayerKey: chain.relayerKeys[0] as Buffer }));
  networksFile = await writeNetworksFile(
    dir,
    chains.map((chain, index) => ({ ...chain, name: NAMES[index] as string })),
  );
  sql = new pg.Client({ connectionString: database.superuserUrl });
  await sql.connect();
  await Promise.all(loads.map((load) => load.prepare(3)));
});
afterEach(async () => {
  for (const process of started.splice(0)) {
    process.wake();
    await process.kill();
  }
});
afterAll(async () => {
  await Promise.all([...(loads ?? []).map((load) => load.close()), sql?.end()]);
  await Promise.all((chains ?? []).map((chain) => chain.stop()));
  await database?.drop();
  await program?.remove();
  if (dir) await rm(dir, { recursive: true, force: true });
});

async function indexer(failpoint?: string): Promise<IndexerProcess> {
  const process = new IndexerProcess({ main: program.main, databaseUrl: database.mirrorUrl, networksFile });
  started.push(process);
  await process.start(failpoint);
  return process;
}

const follows = ({ networks }: HealthAnswer) => NAMES.every((name) => networks[name]?.phase === 'following');
const standsBy = ({ networks }: HealthAnswer) => NAMES.every((name) => networks[name]?.phase === 'standby');

/** Acts on both networks for as long as `during` takes. */
async function underLoad(during: () => Promise<void>): Promise<void> {
  let loading = true;
  const sending = Promise.all(
    loads.map(async (load) => {
      while (loading) {
        await load.mined(load.queries(2));
        await new Promise((wake) => setTimeout(wake, 40));
      }
    }),
  );
  try {
    await during();
  } finally {
    loading = false;
    await sending;
  }
}

async function expectMirrored(follower: IndexerProcess): Promise<void> {
  for (const [index, name] of NAMES.entries()) {
    const load = loads[index] as LedgerLoad;
    const head = BigInt(await load.request<string>('eth_blockNumber'));
    await follower.until(({ networks }) => networks[name]?.cursor?.number === `${head}`);
    expect(await mirroredEvents(sql, name)).toEqual(await chainEvents(load, (chains[index] as TestChain).contract));
  }
}

/** Postgres sessions that hold the leads. */
async function leads(): Promise<number[]> {
  const { rows } = await sql.query<{ pid: number }>(
    "SELECT DISTINCT pid FROM pg_locks WHERE locktype = 'advisory' AND granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
  );
  return rows.map(({ pid }) => pid);
}

async function sessions(pids: number[]): Promise<number> {
  const { rows } = await sql.query<{ n: number }>(
    'SELECT count(*)::int AS n FROM pg_stat_activity WHERE pid = ANY($1)',
    [pids],
  );
  return rows[0]?.n ?? Number.NaN;
}

async function epochs(): Promise<number[]> {
  const { rows } = await sql.query<{ epoch: number }>(
    'SELECT epoch::int AS epoch FROM mirror.cursor ORDER BY network DESC',
  );
  return rows.map(({ epoch }) => epoch);
}

/** Says how long it took; what is measured on a busy machine is told and not asserted. */
async function timed(what: string, act: () => Promise<unknown>): Promise<void> {
  const began = performance.now();
  await act();
  process.stdout.write(`${what}: ${Math.round(performance.now() - began)} ms\n`);
}

describe('an indexer that stands by, over two networks', () => {
  it('leaves a leader alone that is merely idle, and takes both over when it is killed in the middle of its work', async () => {
    const leader = await indexer();
    await leader.until(follows);
    const standby = await indexer();
    await standby.until(standsBy);
    const before = await epochs();
    // Longer than a leader may be silent; no block comes meanwhile.
    await new Promise((wake) => setTimeout(wake, 4_000));
    expect(await epochs()).toEqual(before);
    expect(follows(await leader.health())).toBe(true);

    await underLoad(async () => {
      await leader.kill();
      await timed('taken over from a killed leader', () => standby.until(follows));
    });
    await expectMirrored(standby);
    expect(await epochs()).toEqual(before.map((epoch) => epoch + 1));
  });

  it('takes both over when the leader is frozen, which on waking finds itself fenced and stands by', async () => {
    const leader = await indexer();
    await leader.until(follows);
    const standby = await indexer();
    await standby.until(standsBy);
    const before = await epochs();
    const led = await leads();
    expect(await sessions(led)).toBe(NAMES.length);
    await underLoad(async () => {
      leader.pause();
      await timed('taken over from a frozen leader', () => standby.until(follows));
      expect(await sessions(led)).toBe(0);
      leader.wake();
      await leader.until(standsBy);
    });
    await expectMirrored(standby);
    expect(await epochs()).toEqual(before.map((epoch) => epoch + 1));
    // Which of the two it hears first depends on what it was about to ask when it woke.
    expect(leader.output).toMatch(/terminating connection|connection error/);

    await standby.kill();
    await leader.until(follows);
    await underLoad(() => new Promise((wake) => setTimeout(wake, 200)));
    await expectMirrored(leader);
  });

  it('loses and doubles nothing when the leader freezes with a commit on its way', async () => {
    const leader = await indexer('in-mirror-commit:4:stop');
    await leader.until(follows);
    const standby = await indexer();
    await standby.until(standsBy);
    await underLoad(() => standby.until(follows).then(() => undefined));
    await expectMirrored(standby);
    leader.wake();
    await leader.until(standsBy);
    await underLoad(() => new Promise((wake) => setTimeout(wake, 100)));
    await expectMirrored(standby);
  });
});
