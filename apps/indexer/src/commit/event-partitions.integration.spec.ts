import type { PoolClient } from 'pg';
import type { DataSource } from 'typeorm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createDataSource } from '../../../../libs/database/src/data-source.js';
import { inTransaction } from '../../../../libs/database/src/transaction.js';
import type { NetworkConfig } from '../../../../libs/platform/src/networks.js';
import { freshDatabase, type TestDatabase } from '../../../../test/stack/database.js';
import { modelContract } from '../../test/ledger-model.js';
import { extend, MemoryMirror } from '../../test/memory-mirror.js';
import { options, plainFold, runTree, seededTree } from '../../test/tree-run.js';
import { copyStructure } from '../rebuild/structure.js';
import { verifyBlock } from '../verify/block.verifier.js';
import type { FoldedBlock } from '../verify/ledger.fold.js';
import { eventRow } from './mirror.tables.js';
import { openNetwork } from './network.rows.js';
import { PostgresMirror } from './postgres.mirror.js';

const DAY = 86_400n;

let database: TestDatabase;
let dataSource: DataSource;
let client: PoolClient;
let blocks: FoldedBlock[];
let mirror: PostgresMirror;

beforeAll(async () => {
  database = await freshDatabase();
  const owner = createDataSource({ url: database.ownerUrl, applicationName: 'emr-partitions-test', poolSize: 1 });
  await owner.initialize();
  await inTransaction(owner, (query) => copyStructure(query, 'mirror', 'mirror_rebuild', 'month'));
  await owner.destroy();
  dataSource = createDataSource({
    url: database.mirrorUrl,
    applicationName: 'emr-partitions-test',
    searchPath: 'mirror_rebuild',
    poolSize: 1,
  });
  await dataSource.initialize();
  client = (await dataSource.createQueryRunner().connect()) as PoolClient;

  const tree = seededTree(4_242);
  const { source } = tree;
  const run = await runTree(tree, async () => new MemoryMirror(plainFold([source.genesis])[0] as FoldedBlock));
  blocks = plainFold(run.canonical).map(fiveDaysApart);
  const network: NetworkConfig = {
    ...{ name: 'local', chainId: 7n, rpc: '/nowhere', contract: modelContract(), startBlock: 0n },
    ...{
      genesisHash: source.genesis.fetched.hash,
      finalityDepth: tree.shape.finalityDepth,
      gasLimit: 60_000_000,
      storeRawBlocks: true,
    },
    relayers: [],
  };
  const epoch = await openNetwork(client, network, async () => verifyBlock(source.genesis.fetched, options()));
  mirror = new PostgresMirror(client, network, epoch);
  await mirror.load();
});
afterAll(async () => {
  await dataSource?.destroy();
  await database?.drop();
});

/** The block as if the chain had sealed one in five days, so that a few dozen of them span months. */
function fiveDaysApart(folded: FoldedBlock): FoldedBlock {
  const time = 1_700_000_000n + folded.block.number * 5n * DAY;
  const stamp = { number: folded.block.number, hash: folded.block.hash, time };
  return {
    ...folded,
    block: { ...folded.block, time },
    events: folded.events.map((placed) => ({ ...placed, block: stamp })),
  };
}

const monthOf = (time: bigint) => new Date(Number(time) * 1000).toISOString().slice(0, 7).replace('-', '_');

async function stored(): Promise<{ sequence: string; month: string }[]> {
  const { rows } = await client.query(
    `SELECT sequence, right(tableoid::regclass::text, 7) AS month FROM emr_event ORDER BY sequence`,
  );
  return rows;
}

const expected = (of: readonly FoldedBlock[]) =>
  of
    .flatMap(({ events }) => events)
    .map((placed) => ({ sequence: `${eventRow(placed).sequence}`, month: monthOf(placed.block.time) }));

describe('a mirror that keeps its events by month', () => {
  it('has each event in its month’s table, made by the indexer’s role, and the next month’s made ahead', async () => {
    // As backfill does: months are made while the page before is being committed.
    let committing = Promise.resolve();
    for (let from = 1; from < blocks.length - 12; from += 5) {
      const page = blocks.slice(from, Math.min(from + 5, blocks.length - 12));
      const write = await mirror.prepare({ blocks: page, finalNumber: 0n });
      await committing;
      committing = write();
    }
    await committing;
    const events = expected(blocks.slice(0, -12));
    expect(new Set(events.map(({ month }) => month)).size).toBeGreaterThan(3);
    expect(await stored()).toEqual(events);
    const last = blocks
      .slice(0, -12)
      .flatMap((block) => block.events)
      .at(-1);
    const { rows } = await client.query(`SELECT to_regclass('emr_event_' || $1) IS NOT NULL AS ahead`, [
      monthOf((last?.block.time ?? 0n) + 7n * DAY),
    ]);
    expect(rows).toEqual([{ ahead: true }]);
  });

  it('takes orphans back over several months, and goes on', async () => {
    const tip = blocks.length - 13;
    const ancestor = tip - 9;
    const { number, hash } = (blocks[ancestor] as FoldedBlock).block;
    await mirror.reorganise({
      ancestor: { number, hash },
      blocks: blocks.slice(ancestor + 1, tip + 2),
      finalNumber: 0n,
    });
    await extend(mirror, { blocks: blocks.slice(tip + 2, blocks.length - 3), finalNumber: 0n });
    expect(await stored()).toEqual(expected(blocks.slice(0, -3)));
    const { rows } = await client.query('SELECT count(*)::int AS orphans FROM orphaned_event');
    expect(rows).toEqual([{ orphans: expected(blocks.slice(ancestor + 1, tip + 1)).length }]);
  });

  it('refuses a commit that would leave out or repeat a sequence, though no key spans the months', async () => {
    const index = blocks.findIndex((block, at) => at >= blocks.length - 3 && block.events.length > 0);
    expect(index).toBeGreaterThan(0);
    const before = blocks.slice(blocks.length - 3, index);
    if (before.length > 0) await extend(mirror, { blocks: before, finalNumber: 0n });
    const whole = blocks[index] as FoldedBlock;
    const events = await stored();
    await expect(
      extend(mirror, { blocks: [{ ...whole, events: whole.events.slice(1) }], finalNumber: 0n }),
    ).rejects.toThrow(/0 rows of cursor landed where 1 were expected/);
    await mirror.load();
    const repeated = [...whole.events, whole.events[0] as (typeof whole.events)[number]];
    await expect(extend(mirror, { blocks: [{ ...whole, events: repeated }], finalNumber: 0n })).rejects.toThrow();
    expect(await stored()).toEqual(events);
    await mirror.load();
    await extend(mirror, { blocks: [whole], finalNumber: 0n });
    expect(await stored()).toEqual(expected(blocks.slice(0, index + 1)));
  });

  it('lets the indexer’s role have months made, and nothing else', async () => {
    await expect(client.query('CREATE TABLE mirror_rebuild.other (id integer)')).rejects.toThrow(/permission denied/);
    await expect(client.query(`SELECT make_event_partition('block', 1)`)).rejects.toThrow(
      /no table of events by month/,
    );
    const gateway = createDataSource({ url: database.gatewayUrl, applicationName: 'emr-partitions-test', poolSize: 1 });
    await gateway.initialize();
    try {
      await expect(
        gateway.query(`SELECT mirror_rebuild.make_event_partition('mirror_rebuild.emr_event', 1)`),
      ).rejects.toThrow(/permission denied/);
      expect(await gateway.query('SELECT count(*)::int AS n FROM mirror_rebuild.emr_event')).toEqual([
        { n: (await stored()).length },
      ]);
    } finally {
      await gateway.destroy();
    }
  });
});
