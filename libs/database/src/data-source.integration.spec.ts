import type pg from 'pg';
import type { DataSource } from 'typeorm';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { freshDatabase, type TestDatabase } from '../../../test/stack/database.js';
import { type FrozenWay, frozenWay } from '../../../test/stack/frozen-way.js';
import { isDatabaseUnavailable } from '../../platform/src/problem.filter.js';
import { createDataSource } from './data-source.js';
import { inTransaction, rowsOf } from './transaction.js';

const LIMIT_MS = 300;
const insert = 'INSERT INTO gateway.peer (network, enode) VALUES ($1, $2)';

let database: TestDatabase;
let way: FrozenWay;
let dataSource: DataSource;
let direct: DataSource;

beforeAll(async () => {
  database = await freshDatabase();
  way = await frozenWay(database.gatewayUrl);
  direct = await createDataSource({ url: database.gatewayUrl, applicationName: 'test' }).initialize();
  dataSource = await createDataSource({
    url: way.through(database.gatewayUrl),
    applicationName: 'test',
    poolSize: 1,
    statementLimitMs: LIMIT_MS,
  }).initialize();
});
afterEach(() => way.thaw());
afterAll(async () => {
  await dataSource?.destroy();
  await direct?.destroy();
  await way?.close();
  await database?.drop();
});

/** What `work` is refused with, when it is a database that can't be asked now. */
async function refusalOf(work: () => Promise<unknown>): Promise<{ unavailable: boolean; ms: number; code: unknown }> {
  const begun = Date.now();
  const error = await work().then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  return {
    unavailable: isDatabaseUnavailable(error),
    ms: Date.now() - begun,
    code: (error as { code?: unknown } | undefined)?.code,
  };
}

describe('a data source with a limit for its statements', () => {
  it('has a server that is alive end what takes long, and keeps the connection', async () => {
    const pid = async () => (await dataSource.query('SELECT pg_backend_pid() AS pid'))[0].pid;
    const before = await pid();
    expect(await refusalOf(() => dataSource.query('SELECT pg_sleep(5)'))).toMatchObject({
      unavailable: true,
      code: '57014',
    });
    expect(await pid()).toBe(before);
  });

  it('waits for no server that says nothing, whichever way it is asked', async () => {
    const ask = () => rowsOf<{ one: number }>(dataSource, { name: 'frozen', text: 'SELECT 1 AS one' });
    for (const work of [
      () => dataSource.query('SELECT 1'),
      ask,
      () => inTransaction(dataSource, (query) => query('SELECT 1')),
    ]) {
      await dataSource.query('SELECT 1');
      way.freeze();
      const { unavailable, ms } = await refusalOf(work);
      way.thaw();
      expect(unavailable).toBe(true);
      expect(ms).toBeLessThan(6_000);
    }
    expect(await ask()).toEqual([{ one: 1 }]);
  });

  it('commits what is written after a transaction whose beginning was given up', async () => {
    way.freeze();
    expect((await refusalOf(() => inTransaction(dataSource, (query) => query('SELECT 1')))).unavailable).toBe(true);
    way.thaw();
    await dataSource.query(insert, ['local', 'enode://after']);
    // Seen by another connection: it is no write in a transaction that nobody will end.
    expect(await direct.query('SELECT enode FROM gateway.peer')).toEqual([{ enode: 'enode://after' }]);
  });

  it('leaves a busy connection alone as long as each answer comes in time', async () => {
    const ask = () => rowsOf(dataSource, { name: 'busy', text: 'SELECT 1 AS one, pg_sleep(0.05)' });
    const answers = await Promise.all(Array.from({ length: 60 }, ask));
    expect(answers).toHaveLength(60);
  });
});

it('outlives a connection that is lost while nobody listens to it', async () => {
  for (const source of [direct, dataSource]) {
    const pool = (source.driver as unknown as { master: pg.Pool }).master;
    const client = await pool.connect();
    const { rows } = await client.query('SELECT pg_backend_pid() AS pid');
    const ended = new Promise<void>((resolve) => client.once('end', resolve));
    await direct.query('SELECT pg_terminate_backend($1)', [rows[0].pid]);
    await ended;
    await expect(client.query('SELECT 1')).rejects.toThrow();
    client.release();
    expect(await source.query('SELECT 1 AS one')).toEqual([{ one: 1 }]);
  }
});
