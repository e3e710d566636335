import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { Operation } from '../../../libs/contracts/src/operations.js';
import { parameters } from '../../../libs/contracts/src/parameters.js';
import { createDataSource } from '../../../libs/database/src/data-source.js';
import { queryOf } from '../../../libs/database/src/transaction.js';
import { followedNetworks, readNetworks } from '../../../libs/platform/src/networks.js';
import { run as task } from '../../../tasks/indexer-rebuild.js';
import { startTestChain, type TestChain } from '../../../test/stack/chain.js';
import { freshDatabase, type TestDatabase } from '../../../test/stack/database.js';
import { mirrorDamage } from '../src/commit/mirror-damage.js';
import { type Comparison, dropLeftover, MirrorRebuild } from '../src/rebuild/rebuild.js';
import { structureOf } from '../src/rebuild/structure.js';
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
let networksFile: string;

beforeAll(async () => {
  [program, chain, database, dir] = await Promise.all([
    transpileIndexer(),
    startTestChain(),
    freshDatabase(),
    mkdtemp(join(tmpdir(), 'emr-rebuild-')),
  ]);
  load = new LedgerLoad({ ...chain, relayerKey: chain.relayerKeys[0] as Buffer });
  networksFile = await writeNetworksFile(dir, [{ ...chain, name: 'local' }]);
  indexer = new IndexerProcess({ main: program.main, databaseUrl: database.mirrorUrl, networksFile });
  sql = new pg.Client({ connectionString: database.superuserUrl });
  await Promise.all([sql.connect(), indexer.start(), load.prepare(6)]);
  const record = load.records[0] as Buffer;
  const repeated = load.query(record);
  const amend = (expectedVersion: number) =>
    load.intent(Operation.AMEND, {
      recordId: record,
      parameters: parameters.amend({ expectedVersion, contentHash: Buffer.alloc(32, expectedVersion) }),
    });
  const forged = load.intent(Operation.QUERY, { recordId: record, parameters: repeated.parameters, forged: true });
  await load.mined([repeated, repeated, forged, amend(9), amend(1)]);
  for (let block = 0; block < 60; block++) await load.mined(load.queries(4));
  await caughtUp();
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

async function caughtUp(): Promise<void> {
  const head = BigInt(await load.request<string>('eth_blockNumber'));
  await indexer.until(({ networks }) => BigInt(networks.local?.cursor?.number ?? -1) >= head);
}

/** Sends acts until the work is done. */
async function underLoad<T>(work: () => Promise<T>): Promise<T> {
  let loading = true;
  const sending = (async () => {
    while (loading) await load.mined(load.queries(3));
  })();
  try {
    return await work();
  } finally {
    loading = false;
    await sending;
  }
}

async function rebuilding<T>(
  work: (rebuild: MirrorRebuild) => Promise<T>,
  options: { fresh?: boolean; say?: (line: string) => void } = {},
): Promise<T> {
  const rebuild = await MirrorRebuild.begin({
    databaseUrl: database.ownerUrl,
    networks: followedNetworks(readNetworks(networksFile)),
    fresh: options.fresh ?? false,
    signal: AbortSignal.timeout(60_000),
    say: options.say ?? (() => undefined),
  });
  try {
    return await work(rebuild);
  } finally {
    await rebuild.end();
  }
}

function compared(options: { fresh?: boolean; say?: (line: string) => void } = {}): Promise<Comparison> {
  return rebuilding(async (rebuild) => {
    await rebuild.prepare(false);
    await rebuild.build();
    return rebuild.compare();
  }, options);
}

function differences({ tables }: Comparison): string[] {
  return tables.flatMap((table) => table.differences);
}

describe('a mirror rebuilt from the chain', () => {
  it('equals the live one byte for byte, while that goes on', async () => {
    const notified: string[] = [];
    const listener = new pg.Client({ connectionString: database.gatewayUrl });
    await listener.connect();
    listener.on('notification', ({ payload }) => notified.push(JSON.parse(payload as string).number));
    await listener.query('LISTEN mirror_commit');
    const comparison = await underLoad(() => compared());
    await caughtUp();
    await listener.end();
    expect(comparison).toMatchObject({ equal: true, remarks: [] });
    expect(differences(comparison)).toEqual([]);
    const rows = Object.fromEntries(comparison.tables.map((table) => [table.table, table.rows]));
    expect(rows).toMatchObject({ network: 1, notice: 2, record: 6, record_version: 7, actor: 1, hospital: 1 });
    expect(rows.emr_event).toBeGreaterThan(250);
    // The gateways heard of the live mirror's commits alone: numbers never fall.
    expect(notified).toEqual([...notified].sort((a, b) => Number(a) - Number(b)));
  });

  it('is gone on with after a kill -9 between two commits, and is as good', async () => {
    await dropLeftover(database.ownerUrl, 'mirror_rebuild');
    const killed = await rebuildUntilKilled();
    expect(killed).toBe('SIGKILL');
    const { rows } = await sql.query<{ number: string; live: string }>(
      'SELECT r.number, l.number AS live FROM mirror_rebuild.cursor r, mirror.cursor l',
    );
    expect(Number(rows[0]?.number)).toBeGreaterThan(0);
    expect(Number(rows[0]?.number)).toBeLessThan(Number(rows[0]?.live));
    const said: string[] = [];
    const comparison = await compared({ say: (line) => said.push(line) });
    expect(said).toEqual([`local: going on after block ${rows[0]?.number}`]);
    expect(differences(comparison)).toEqual([]);
    expect(comparison.equal).toBe(true);
  });

  it.each([
    [
      'an altered row',
      `UPDATE mirror.record SET version = 77 WHERE version = 2`,
      /record of local, record_id .*: version is 77, by the chain 2/,
    ],
    [
      'a missing row',
      `DELETE FROM mirror.inclusion WHERE nonce = 9`,
      /inclusion of local, .*: missing in the live mirror/,
    ],
    [
      'an invented row',
      `INSERT INTO mirror.relayer VALUES ('local', '\\x1111111111111111111111111111111111111111', 1, true)`,
      /relayer of local, address .*: in the live mirror, not on the chain/,
    ],
    [
      'one bit of one event',
      `UPDATE mirror.emr_event SET data = set_bit(data, 300, 1 - get_bit(data, 300)) WHERE sequence = 100`,
      /emr_event of local, sequence 100: data is /,
    ],
    [
      'a head of the ledger',
      `UPDATE mirror.block SET head = sha256(head) WHERE number = 20`,
      /block of local, number 20: head is /,
    ],
  ])('shows up %s in the live mirror, and names it', async (_what, tampering, named) => {
    await caughtUp();
    await sql.query('CREATE SCHEMA before');
    const tables = ['record', 'inclusion', 'relayer', 'emr_event', 'block'];
    for (const table of tables) await sql.query(`CREATE TABLE before.${table} AS SELECT * FROM mirror.${table}`);
    try {
      await sql.query(tampering);
      const comparison = await compared();
      expect(comparison.equal).toBe(false);
      expect(differences(comparison)).toEqual([expect.stringMatching(named)]);
    } finally {
      for (const table of tables) {
        await sql.query(`DELETE FROM mirror.${table}; INSERT INTO mirror.${table} SELECT * FROM before.${table}`);
      }
      await sql.query('DROP SCHEMA before CASCADE');
    }
    expect((await compared()).equal).toBe(true);
  });

  it('takes the live one’s place without a failed read, and the indexer goes on in it', async () => {
    await sql.query(`INSERT INTO mirror.reorganisation (network, ancestor_number, old_tip, new_tip, depth)
      VALUES ('local', 1, '\\x01', '\\x02', 3)`);
    await sql.query(`INSERT INTO mirror.orphaned_event SELECT 1, e.* FROM mirror.emr_event e WHERE sequence = 7`);
    const structure = await structureOfLive();
    const readers = await startReaders(4);
    const reads = await underLoad(() =>
      rebuilding(async (rebuild) => {
        await rebuild.prepare(false);
        await rebuild.build();
        expect(differences(await rebuild.compare())).toEqual([]);
        await readers.pass(20);
        await rebuild.switch();
        await readers.pass(20);
      }),
    ).then(
      () => readers.stop(),
      async (error) => {
        await readers.stop();
        throw error;
      },
    );
    expect(reads.failed).toEqual([]);
    expect(reads.fellBack).toEqual([]);

    // The indexer writes to the new tables, and nobody to the old ones.
    const { rows: old } = await sql.query('SELECT number FROM mirror_old.cursor');
    await load.mined(load.queries(2));
    await caughtUp();
    const { rows } = await sql.query<{ old: string; number: string }>(
      'SELECT o.number AS old, n.number FROM mirror_old.cursor o, mirror.cursor n',
    );
    expect(rows[0]?.old).toBe(old[0].number);
    expect(Number(rows[0]?.number)).toBeGreaterThan(Number(rows[0]?.old));
    expect(await mirroredEvents(sql)).toEqual(await chainEvents(load, chain.contract));
    const { networks } = await indexer.health();
    expect(networks.local?.phase).toBe('following');
    // What can't be read from the chain came along; the next reorganisation gets a number of its own.
    const history = await sql.query(`SELECT (SELECT count(*)::int FROM mirror.orphaned_event) AS orphans,
      (SELECT count(*)::int FROM mirror.reorganisation) AS reorganisations, nextval('mirror.reorganisation_id_seq')::int AS next`);
    expect(history.rows).toEqual([{ orphans: 1, reorganisations: 1, next: 2 }]);
    expect(await structureOfLive()).toEqual(structure);
    // The roles still may what they may, and no more.
    const gateway = new pg.Client({ connectionString: database.gatewayUrl });
    await gateway.connect();
    await expect(gateway.query('DELETE FROM mirror.record')).rejects.toThrow(/permission denied/);
    await gateway.end();
  });
});

describe('npm run indexer:rebuild', () => {
  it('says by its exit code and last line how it ended', async () => {
    vi.stubEnv('DATABASE_URL', database.ownerUrl);
    vi.stubEnv('NETWORKS_FILE', networksFile);
    try {
      const blocked = await runTask('--switch');
      expect(blocked).toMatchObject({ code: 1, last: expect.stringMatching(/mirror_old .* --drop-old/) });
      expect(await runTask('--drop-old')).toMatchObject({ code: 0, last: 'The schema mirror_old is removed.' });
      expect(await runTask('--compare-only')).toMatchObject({
        code: 1,
        last: expect.stringMatching(/Nothing has been rebuilt/),
      });
      const equal = await runTask();
      expect(equal).toMatchObject({
        code: 0,
        last: expect.stringMatching(/^rebuild: equal byte for byte: 1 network, /),
      });

      await sql.query(`UPDATE mirror.record SET level = 3 WHERE version = 2`);
      const different = await runTask('--compare-only');
      expect(different).toMatchObject({
        code: 1,
        last: expect.stringMatching(/^rebuild: the live mirror DIFFERS .*local record\./),
      });
      const refused = await runTask('--switch');
      expect(refused).toMatchObject({ code: 1, last: expect.stringMatching(/Nothing was switched/) });
      const repaired = await runTask('--switch', '--accept-differences');
      expect(repaired).toMatchObject({ code: 0, last: expect.stringMatching(/switched: the rebuilt mirror is live/) });
      const { rows } = await sql.query('SELECT level FROM mirror.record WHERE version = 2');
      expect(rows).toEqual([{ level: 1 }]);
      await load.mined(load.queries(1));
      await caughtUp();
      expect(await runTask('--drop-old')).toMatchObject({ code: 0 });
      expect((await runTask('--partition-by', 'week')).code).toBe(2);

      // By month, and back: the rows are the same.
      const parted = await underLoad(() => runTask('--partition-by', 'month', '--switch'));
      expect(parted).toMatchObject({ code: 0, last: expect.stringMatching(/equal byte for byte.*switched/) });
      await load.mined(load.queries(2));
      await caughtUp();
      expect(await mirroredEvents(sql)).toEqual(await chainEvents(load, chain.contract));
      const tables = await sql.query(
        `SELECT count(*)::int AS months FROM pg_inherits WHERE inhparent = 'mirror.emr_event'::regclass`,
      );
      expect(tables.rows[0].months).toBeGreaterThan(0);
      expect((await runTask('--drop-old')).code).toBe(0);
      const whole = await runTask('--partition-by', 'none', '--switch');
      expect(whole).toMatchObject({ code: 0, last: expect.stringMatching(/equal byte for byte.*switched/) });
      expect((await runTask('--drop-old')).code).toBe(0);

      // By itself, once there are more than a hospital wants in one table.
      vi.stubEnv('MIRROR_PARTITION_EVENTS', '100');
      expect((await runTask()).code).toBe(0);
      const { rows: kinds } = await sql.query(
        `SELECT relkind FROM pg_class WHERE oid = 'mirror_rebuild.emr_event'::regclass`,
      );
      expect(kinds).toEqual([{ relkind: 'p' }]);
      expect((await runTask('--drop-rebuilt')).code).toBe(0);
    } finally {
      vi.unstubAllEnvs();
    }
  });
});

describe('a mirror that stands beside the chain', () => {
  it('is told from a whole one by the indexer, compared as far as it can be, and replaced', async () => {
    vi.stubEnv('DATABASE_URL', database.ownerUrl);
    vi.stubEnv('NETWORKS_FILE', networksFile);
    const dataSource = createDataSource({ url: database.mirrorUrl, applicationName: 'emr-rebuild-test', poolSize: 1 });
    await dataSource.initialize();
    try {
      expect(await mirrorDamage(dataSource)).toEqual([]);
      await indexer.stop();
      const { rows } = await sql.query<{ number: string }>(
        `WITH gone AS (DELETE FROM mirror.block WHERE number > (SELECT max(number) - 3 FROM mirror.block) RETURNING number)
         UPDATE mirror.cursor SET hash = sha256(hash) RETURNING number`,
      );
      expect(await mirrorDamage(dataSource)).toEqual([
        expect.stringMatching(/The mirror of local contradicts itself at block/),
      ]);
      const different = await runTask();
      const common = Number(rows[0]?.number) - 3;
      expect(different.code).toBe(1);
      expect(different.lines.join('\n')).toMatch(
        new RegExp(`not on the node's chain; histories are compared through block ${common}, states are not`),
      );
      expect((await runTask('--switch', '--accept-differences')).code).toBe(0);
      await indexer.start();
      await load.mined(load.queries(3));
      await caughtUp();
      expect(await mirrorDamage(dataSource)).toEqual([]);
      expect(await mirroredEvents(sql)).toEqual(await chainEvents(load, chain.contract));
    } finally {
      await dataSource.destroy();
      vi.unstubAllEnvs();
    }
  });
});

async function runTask(...args: string[]): Promise<{ code: number; last: string | undefined; lines: string[] }> {
  const lines: string[] = [];
  const [out, err] = [process.stdout, process.stderr].map((stream) =>
    vi.spyOn(stream, 'write').mockImplementation((text) => {
      lines.push(...String(text).trimEnd().split('\n'));
      return true;
    }),
  );
  try {
    const code = await task(args);
    return { code, last: lines.at(-1), lines };
  } finally {
    out?.mockRestore();
    err?.mockRestore();
  }
}

async function structureOfLive(): Promise<string[]> {
  await sql.query('BEGIN');
  try {
    return await structureOf(queryOf(sql), 'mirror');
  } finally {
    await sql.query('ROLLBACK');
  }
}

/** Rebuilds in a process of its own that is killed when its first commit is done and the next under way. @returns the signal that ended it */
async function rebuildUntilKilled(): Promise<string | null> {
  const from = (path: string) => JSON.stringify(pathToFileURL(join(program.main, '../../../..', path)).href);
  const script = `
    import { MirrorRebuild } from ${from('apps/indexer/src/rebuild/rebuild.js')};
    import { followedNetworks, readNetworks } from ${from('libs/platform/src/networks.js')};
    const rebuild = await MirrorRebuild.begin({
      databaseUrl: process.env.DATABASE_URL,
      networks: followedNetworks(readNetworks(process.env.NETWORKS_FILE)),
      signal: new AbortController().signal,
      say: console.log,
      onProgress: () => setImmediate(() => process.kill(process.pid, 'SIGKILL')),
    });
    await rebuild.prepare(false);
    await rebuild.build();
    await rebuild.compare();`;
  const env = { PATH: process.env.PATH, DATABASE_URL: database.ownerUrl, NETWORKS_FILE: networksFile };
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], { env, stdio: 'ignore' });
  const [, signal] = (await once(child, 'exit')) as [number | null, string | null];
  return signal;
}

/** Connections of the gateway's role that read without pause, as it does: joins, by names that are prepared once. */
async function startReaders(count: number) {
  const failed: string[] = [];
  const fellBack: string[] = [];
  let reading = true;
  let rounds = 0;
  const clients = Array.from({ length: count }, () => new pg.Client({ connectionString: database.gatewayUrl }));
  await Promise.all(clients.map((client) => client.connect()));
  const loops = clients.map(async (client, index) => {
    let last = 0;
    while (reading) {
      try {
        const { rows } = await client.query<{ number: string; events: number }>({
          ...(index % 2 === 0 ? { name: 'read' } : {}),
          text: `SELECT c.number, (SELECT count(*)::int FROM mirror.emr_event e JOIN mirror.record r USING (network, record_id)
                   WHERE e.network = c.network AND e.block_number <= c.number) AS events
                 FROM mirror.cursor c WHERE c.network = $1`,
          values: ['local'],
        });
        const now = Number(rows[0]?.events);
        if (!(now >= last)) fellBack.push(`${last} → ${now}`);
        last = now;
      } catch (error) {
        failed.push((error as Error).message);
        // A connection that is gone fails in the same turn, for ever.
        await new Promise((wake) => setTimeout(wake, 5));
      }
      rounds++;
    }
  });
  return {
    async pass(more: number) {
      const until = rounds + more;
      while (rounds < until) await new Promise((wake) => setTimeout(wake, 5));
    },
    async stop() {
      reading = false;
      await Promise.all(loops);
      await Promise.all(clients.map((client) => client.end()));
      return { failed, fellBack };
    },
  };
}
