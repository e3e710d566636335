import pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { freshDatabase, type TestDatabase } from '../../../test/stack/database.js';
import {
  beginWithCopies,
  type Copy,
  type CopyRow,
  copyRows,
  type EncodedCopy,
  encodeCopy,
  type SentStatement,
} from './copy.js';

let database: TestDatabase;
let client: pg.Client;
beforeAll(async () => {
  database = await freshDatabase({ migrated: false });
  client = new pg.Client({ connectionString: database.superuserUrl });
  await client.connect();
  await client.query('CREATE TABLE counter (name text PRIMARY KEY, value bigint NOT NULL)');
  for (const table of ['first', 'second']) {
    await client.query(`CREATE TABLE ${table} (name text, number bigint PRIMARY KEY, bytes bytea, flag bool)`);
  }
});
beforeEach(async () => {
  await client.query('TRUNCATE counter, first, second');
  await client.query(`INSERT INTO counter VALUES ('moves', 0)`);
});
afterAll(async () => {
  await client?.end();
  await database?.drop();
});

const into = (table: string, rows: CopyRow[]): EncodedCopy => encodeCopy(copyInto(table, rows));
const copyInto = (table: string, rows: CopyRow[]): Copy => ({
  table,
  columns: [
    { name: 'name', type: 'text', value: 'net' },
    { name: 'number', type: 'int8', property: 'number' },
    { name: 'bytes', type: 'bytea', property: 'bytes' },
    { name: 'flag', type: 'bool', property: 'flag' },
  ],
  rows,
});
const rows = (from: number, count: number): CopyRow[] =>
  Array.from({ length: count }, (_, index) => {
    const number = BigInt(from + index);
    return { number, bytes: index % 3 === 0 ? null : Buffer.alloc(index % 300, index), flag: index % 2 === 0 };
  });
/** Moves the counter from where it is thought to be; fails by a division where it is elsewhere. */
const move = (from: number, name = 'move'): SentStatement => ({
  name,
  text: `WITH moved AS (UPDATE counter SET value = value + 1 WHERE value = $1::bigint RETURNING 1)
    SELECT 1 / (SELECT count(*) FROM moved) AS one, '${name}' AS called`,
  values: [String(from)],
});
/** As the server told it last: I for none, T for one that is open, E for one that failed. */
const transactionStatus = () => (client as unknown as { getTransactionStatus(): string }).getTransactionStatus();
async function stored() {
  const answer = await client.query<{ first: number; second: number; moves: number }>(
    `SELECT (SELECT count(*)::int FROM first) AS first, (SELECT count(*)::int FROM second) AS second,
       (SELECT value::int FROM counter) AS moves`,
  );
  return answer.rows[0];
}

describe('a statement and copies in one flight', () => {
  it('are all there once they are committed, to the byte, and none of them for anybody else before', async () => {
    const given = rows(1, 700);
    expect(await beginWithCopies(client, move(0), [into('first', given), into('second', rows(1, 2))])).toEqual([
      700, 2,
    ]);
    const other = new pg.Client({ connectionString: database.superuserUrl });
    await other.connect();
    expect((await other.query('SELECT FROM first')).rowCount).toBe(0);
    await client.query('COMMIT');
    expect((await other.query('SELECT number, bytes, flag FROM first ORDER BY number')).rows).toEqual(
      given.map((row) => ({ ...row, number: String(row.number) })),
    );
    await other.end();
    expect(await stored()).toEqual({ first: 700, second: 2, moves: 1 });
  });

  it('leave nothing behind when the statement fails, and the connection goes on', async () => {
    await expect(beginWithCopies(client, move(5), [into('first', rows(1, 400))])).rejects.toMatchObject({
      code: '22012',
    });
    await client.query('ROLLBACK');
    expect(await stored()).toEqual({ first: 0, second: 0, moves: 0 });
    expect(await beginWithCopies(client, move(0), [into('first', rows(1, 400))])).toEqual([400]);
    await client.query('COMMIT');
    expect(await stored()).toEqual({ first: 400, second: 0, moves: 1 });
  });

  it('leave nothing behind when a copy fails after another that did not', async () => {
    const twice = [...rows(1, 300), ...rows(1, 1)];
    const copies = [into('first', rows(1, 300)), into('second', twice), into('first', rows(1_000, 300))];
    await expect(beginWithCopies(client, move(0), copies)).rejects.toMatchObject({ code: '23505' });
    await client.query('ROLLBACK');
    expect(await stored()).toEqual({ first: 0, second: 0, moves: 0 });
  });

  it('are refused before anything is sent when a row can not be encoded', () => {
    const wrong = [{ number: 'no number', bytes: null, flag: true }] as unknown as CopyRow[];
    expect(() => into('first', wrong)).toThrow();
  });

  it('take a statement that does not parse, or was prepared otherwise before, for what it is', async () => {
    const broken = { name: 'broken', text: 'SELECT FROM nowhere', values: [] };
    await expect(beginWithCopies(client, broken, [into('first', rows(1, 1))])).rejects.toMatchObject({ code: '42P01' });
    await client.query('ROLLBACK');
    const other = { ...move(0), text: 'SELECT 2' };
    await expect(beginWithCopies(client, other, [into('first', rows(1, 1))])).rejects.toThrow(
      'move is another statement',
    );
    expect(transactionStatus()).toBe('I');
    const prepared = move(0, 'prepared');
    await client.query({ ...prepared, values: [...prepared.values] });
    expect(await beginWithCopies(client, { ...prepared, values: ['1'] }, [into('first', rows(1, 1))])).toEqual([1]);
    await client.query('COMMIT');
    expect(await stored()).toEqual({ first: 1, second: 0, moves: 2 });
  });

  it('fail when the connection is lost in between', async () => {
    const doomed = new pg.Client({ connectionString: database.superuserUrl });
    doomed.on('error', () => undefined);
    await doomed.connect();
    const { rows: own } = await doomed.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
    await client.query('BEGIN');
    try {
      await client.query('LOCK TABLE first');
      const flight = beginWithCopies(doomed, move(0), [into('first', rows(1, 300))]);
      const lost = expect(flight).rejects.toThrow(/terminat/i);
      const waits = () => client.query('SELECT FROM pg_locks WHERE pid = $1 AND NOT granted', [own[0]?.pid]);
      await expect.poll(async () => (await waits()).rowCount, { timeout: 30_000 }).toBe(1);
      await client.query('SELECT pg_terminate_backend($1)', [own[0]?.pid]);
      await lost;
    } finally {
      await client.query('ROLLBACK');
    }
    expect(await stored()).toEqual({ first: 0, second: 0, moves: 0 });
    await doomed.end().catch(() => undefined);
  });
});

it('copies alone stand by themselves', async () => {
  const { columns } = copyInto('first', []);
  expect(await copyRows(client, 'first', columns, rows(1, 250))).toBe(250);
  expect(await stored()).toEqual({ first: 250, second: 0, moves: 0 });
});
