import pg, { type PoolClient } from 'pg';
import type { DataSource } from 'typeorm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createDataSource } from '../../../../libs/database/src/data-source.js';
import type { NetworkConfig } from '../../../../libs/platform/src/networks.js';
import { freshDatabase, type TestDatabase } from '../../../../test/stack/database.js';
import type { ModelBlock } from '../../test/chain-model.js';
import { dyingClient } from '../../test/dying-client.js';
import { modelContract, Random } from '../../test/ledger-model.js';
import { extend, MemoryMirror } from '../../test/memory-mirror.js';
import { Killed, options, plainFold, runTree, seededTree } from '../../test/tree-run.js';
import { judge, type MirrorContent, rowKey } from '../../test/tree-verdict.js';
import { projections } from '../project/projections.js';
import { verifyBlock } from '../verify/block.verifier.js';
import type { FoldedBlock } from '../verify/ledger.fold.js';
import type { Extension } from './mirror.js';
import { eventRow, eventTable } from './mirror.tables.js';
import { openNetwork, ReplacedChainError } from './network.rows.js';
import { PostgresMirror } from './postgres.mirror.js';
import { type AnyRow, fromSql, type Table } from './table.js';

let database: TestDatabase;
let dataSource: DataSource;
let client: PoolClient;

beforeAll(async () => {
  database = await freshDatabase();
  dataSource = createDataSource({
    url: database.mirrorUrl,
    applicationName: 'emr-indexer-test',
    searchPath: 'mirror',
    poolSize: 2,
  });
  await dataSource.initialize();
  client = (await dataSource.createQueryRunner().connect()) as PoolClient;
});
afterAll(async () => {
  await dataSource?.destroy();
  await database?.drop();
});

function networkOf(name: string, genesis: ModelBlock, finalityDepth = 6): NetworkConfig {
  return {
    name,
    chainId: 7n,
    rpc: '/nowhere',
    contract: modelContract(),
    startBlock: 0n,
    genesisHash: genesis.fetched.hash,
    finalityDepth,
    gasLimit: 60_000_000,
    storeRawBlocks: true,
    relayers: [],
  };
}

function open(network: NetworkConfig, genesis: ModelBlock): Promise<bigint> {
  return openNetwork(client, network, async () => verifyBlock(genesis.fetched, options()));
}

async function rowsOf(table: Table, network: string): Promise<string[]> {
  const { rows } = await client.query(`SELECT * FROM ${table.name} WHERE network = $1`, [network]);
  return rows.map((row) => show(table, fromSql(table, row))).sort();
}

function show(table: Table, row: AnyRow): string {
  return Object.keys(table.columns)
    .map((name) => (Buffer.isBuffer(row[name]) ? row[name].toString('base64') : `${row[name]}`))
    .join(' ');
}

/** What the mirror of a network holds. */
async function contentOf(network: NetworkConfig): Promise<MirrorContent> {
  const keys = (table: string) =>
    client.query<{ key: string }>(
      `SELECT encode(block_hash, 'hex') || ' ' || log_index || ' ' || sequence AS key FROM ${table} WHERE network = $1`,
      [network.name],
    );
  const [events, orphans] = [await keys('emr_event'), await keys('orphaned_event')];
  const { rows } = await client.query<{ hash: Buffer }>('SELECT hash FROM cursor WHERE network = $1', [network.name]);
  const projected: string[] = [];
  for (const projection of projections) {
    const { rows } = await client.query(`SELECT * FROM ${projection.table.name} WHERE network = $1`, [network.name]);
    projected.push(...rows.map((row) => rowKey(projection, fromSql(projection.table, row))));
  }
  return {
    tip: rows[0]?.hash as Buffer,
    events: events.rows.map(({ key }) => key),
    orphans: orphans.rows.map(({ key }) => key),
    rows: projected,
  };
}

describe('the mirror in Postgres', () => {
  let deaths = 0;
  it.each([1, 2, 3, 4, 6, 11])(
    'holds exactly the canonical chain after random reorganisations, restarts and deaths at any statement (tree %i)',
    async (seed) => {
      const tree = seededTree(seed);
      const network = networkOf(`tree-${seed}`, tree.source.genesis, tree.shape.finalityDepth);
      const lives = new Random(seed);
      const connections: pg.Client[] = [];
      // Each life of the follower has a connection of its own and takes the lead anew, as a restarted process would.
      const run = await runTree(tree, async () => {
        const connection = new pg.Client({ connectionString: database.mirrorUrl, options: '-c search_path=mirror' });
        connections.push(connection.on('error', () => undefined));
        await connection.connect();
        const dying = dyingClient(connection as unknown as PoolClient, lives, 120);
        const genesis = async () => verifyBlock(tree.source.genesis.fetched, options());
        return new PostgresMirror(dying, network, await openNetwork(dying, network, genesis));
      });
      await Promise.all(connections.map((connection) => connection.end().catch(() => undefined)));
      expect(await judge(run, await contentOf(network))).toEqual({ missing: 0, double: 0, stale: 0, lost: 0, rows: 0 });
      deaths += run.deaths;

      const expected = plainFold(run.canonical);
      const replay = new MemoryMirror(expected[0] as FoldedBlock);
      await extend(replay, { blocks: expected.slice(1), finalNumber: 0n });
      const events = replay.events.map((placed) => show(eventTable, eventRow(placed))).sort();
      expect(await rowsOf(eventTable, network.name)).toEqual(events);
      const { rows } = await client.query(
        `SELECT (SELECT count(*) FROM block WHERE network = $1)::int AS blocks,
        (SELECT count(*) FROM inclusion WHERE network = $1)::int AS inclusions,
        (SELECT count(*) FROM notice WHERE network = $1)::int AS notices,
        (SELECT count(*) FROM reorganisation WHERE network = $1)::int AS reorganisations`,
        [network.name],
      );
      expect(rows[0]).toEqual({
        blocks: expected.length,
        inclusions: expected.flatMap(({ block }) => block.transactions).length,
        notices: expected.flatMap(({ notices }) => notices).length,
        reorganisations: expect.any(Number),
      });
      expect(rows[0].reorganisations).toBeGreaterThanOrEqual(run.reorganisations);
    },
  );

  it('was worth growing the trees for: the follower died in them', () => {
    expect(deaths).toBeGreaterThan(12);
  });

  /** The canonical blocks of a tree after genesis: with this one 268 events, which is enough for rows to go by COPY. */
  async function manyBlocks() {
    const tree = seededTree(10);
    const { source, shape } = tree;
    const run = await runTree(tree, async () => new MemoryMirror(plainFold([source.genesis])[0] as FoldedBlock));
    const blocks = plainFold(run.canonical).slice(1);
    expect(blocks.flatMap(({ events }) => events).length).toBeGreaterThanOrEqual(200);
    return { genesis: source.genesis, finalityDepth: shape.finalityDepth, blocks };
  }
  async function blocksOf(network: string): Promise<number> {
    const { rows } = await client.query('SELECT count(*)::int AS blocks FROM block WHERE network = $1', [network]);
    return rows[0].blocks;
  }

  it.each(['few', 'many'])(
    'refuses a commit of %s rows by a leader that was superseded, and keeps nothing of it',
    async (size) => {
      const { genesis, blocks: all } = await manyBlocks();
      const blocks = size === 'few' ? all.slice(0, 2) : all;
      const network = networkOf(`fenced ${size}`, genesis);
      const former = new PostgresMirror(client, network, await open(network, genesis));
      await former.load();
      const leader = new PostgresMirror(client, network, await open(network, genesis));
      await leader.load();
      await expect(extend(former, { blocks, finalNumber: 0n })).rejects.toThrow(/cursor/);
      expect(await blocksOf(network.name)).toBe(1);
      await extend(leader, { blocks, finalNumber: 0n });
      expect(await blocksOf(network.name)).toBe(blocks.length + 1);
    },
  );

  /** Three pages; the second is long enough to go by COPY. */
  function pagesOf(blocks: readonly FoldedBlock[]) {
    const behind = (events: number) => blocks.findIndex(({ state }) => state.sequence >= events) + 1;
    const [first, second] = [behind(30), behind(235)];
    const page = (from: number, to: number): Extension => ({ blocks: blocks.slice(from, to), finalNumber: 0n });
    return [page(0, first), page(first, second), page(second, blocks.length)] as const;
  }

  it('prepares a page while the one before it is committed, and reads what that needs', async () => {
    const { genesis, blocks } = await manyBlocks();
    const [first, second, third] = pagesOf(blocks);
    const loaded = async (network: NetworkConfig) => {
      const mirror = new PostgresMirror(client, network, await open(network, genesis));
      await mirror.load();
      return mirror;
    };
    const inTurn = await loaded(networkOf('in turn', genesis));
    for (const page of [first, second, third]) await extend(inTurn, page);
    await extend(await loaded(networkOf('ahead', genesis)), first);
    // Another life of it, which knows no rows yet.
    const ahead = await loaded(networkOf('ahead', genesis));
    const write = await ahead.prepare(second);
    const committing = write();
    const writeNext = await ahead.prepare(third);
    await committing;
    await writeNext();
    for (const table of ['block', 'emr_event', 'inclusion', 'record', 'relation', 'access_grant', 'actor']) {
      const rowsOf = async (network: string) => {
        const { rows } = await client.query(
          `SELECT (to_jsonb(t) - 'network')::text AS row FROM ${table} t WHERE network = $1 ORDER BY 1`,
          [network],
        );
        return rows;
      };
      const rows = await rowsOf('ahead');
      expect(rows.length, table).toBeGreaterThan(0);
      expect(rows, table).toEqual(await rowsOf('in turn'));
    }
  });

  it('writes nothing of a page that was prepared on one that failed', async () => {
    const { genesis, blocks } = await manyBlocks();
    const [first, second, third] = pagesOf(blocks);
    const network = networkOf('failed', genesis);
    const former = new PostgresMirror(client, network, await open(network, genesis));
    await former.load();
    await extend(former, first);
    const write = await former.prepare(second);
    const writeNext = await former.prepare(third);
    await open(network, genesis);
    await expect(write()).rejects.toThrow(/cursor/);
    await expect(writeNext()).rejects.toThrow(/cursor/);
    expect(await blocksOf(network.name)).toBe(first.blocks.length + 1);
    await expect(former.prepare(second)).rejects.toThrow(/after a commit that failed/);
  });

  it('has a page of many rows wholly or not at all, wherever its connection ends', async () => {
    const { genesis, finalityDepth, blocks } = await manyBlocks();
    const lives = new Random(77);
    let died = 0;
    for (let page = 0; page < 20; page++) {
      const network = networkOf(`page ${page}`, genesis, finalityDepth);
      for (let there = 0; there <= 1; ) {
        const connection = new pg.Client({ connectionString: database.mirrorUrl, options: '-c search_path=mirror' });
        connection.on('error', () => undefined);
        await connection.connect();
        const dying = dyingClient(connection as unknown as PoolClient, lives, 150);
        try {
          const mirror = new PostgresMirror(
            dying,
            network,
            await openNetwork(dying, network, async () => verifyBlock(genesis.fetched, options())),
          );
          const { tip } = await mirror.load();
          if (tip.number === 0n) await extend(mirror, { blocks, finalNumber: 0n });
        } catch (error) {
          if (!(error instanceof Killed)) throw error;
          died++;
        }
        await connection.end().catch(() => undefined);
        there = await blocksOf(network.name);
        expect([0, 1, blocks.length + 1]).toContain(there);
      }
    }
    expect(died).toBeGreaterThan(10);
  });

  it('refuses a commit that does not follow on the cursor', async () => {
    const tree = seededTree(6_000);
    const { source } = tree;
    const network = networkOf('gap', source.genesis);
    const mirror = new PostgresMirror(client, network, await open(network, source.genesis));
    await mirror.load();
    const run = await runTree(tree, async () => new MemoryMirror(plainFold([source.genesis])[0] as FoldedBlock));
    const blocks = plainFold(run.canonical);
    await extend(mirror, { blocks: blocks.slice(1, 3), finalNumber: 0n });
    const other = new PostgresMirror(client, network, 1n);
    await other.load();
    await extend(mirror, { blocks: blocks.slice(3, 4), finalNumber: 0n });
    await expect(extend(other, { blocks: blocks.slice(3, 4), finalNumber: 0n })).rejects.toThrow();
  });

  it('refuses another chain under a name it holds', async () => {
    const genesis = seededTree(1).source.genesis;
    await open(networkOf('replaced', genesis), genesis);
    const other = seededTree(2).source.genesis;
    await expect(open(networkOf('replaced', other), other)).rejects.toThrow(ReplacedChainError);
    await expect(open({ ...networkOf('replaced', genesis), chainId: 8n }, genesis)).rejects.toThrow(/chain id/);
  });

  it('tells listeners in the commit what the gateway waits for', async () => {
    const tree = seededTree(9_000);
    const { source } = tree;
    const network = networkOf('told', source.genesis);
    const run = await runTree(tree, async () => new MemoryMirror(plainFold([source.genesis])[0] as FoldedBlock));
    const blocks = plainFold(run.canonical).slice(1, 4);
    const heard: string[] = [];
    const listener = (await dataSource.createQueryRunner().connect()) as PoolClient;
    listener.on('notification', ({ payload }) => heard.push(payload ?? ''));
    await listener.query('LISTEN mirror_commit');
    const mirror = new PostgresMirror(client, network, await open(network, source.genesis));
    await mirror.load();
    await extend(mirror, { blocks, finalNumber: 2n });
    await listener.query('SELECT 1');
    const sequence = `${(blocks.at(-1) as FoldedBlock).state.sequence}`;
    expect(heard.map((payload) => JSON.parse(payload))).toEqual([
      { network: 'told', number: '3', finalNumber: '2', sequence },
    ]);
  });
});
