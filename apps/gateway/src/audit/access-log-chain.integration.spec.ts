import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { DataSource } from 'typeorm';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { migrate } from '../../../../libs/database/src/migrate.js';
import { decodeAccessLogEntry, encodeAccessLogEntry, faultInAccessLog } from '../../../../libs/proof/src/access-log.js';
import { type TestStorage, testStorage } from '../../../../test/stack/storage.js';
import { AccessLog } from './access-log.service.js';
import { AccessLogStore } from './access-log.store.js';
import { AccessLogChain, type LinkedEntry } from './access-log-chain.service.js';
import { AccessLogChainStore } from './access-log-chain.store.js';

let storage: TestStorage;
let gateway: DataSource;
let log: AccessLog;
let store: AccessLogChainStore;
let chain: AccessLogChain;
/** Of the superuser: who may do what the product's roles may not. */
let superuser: pg.Client;

beforeEach(async () => {
  storage = await testStorage();
  ({ gateway } = storage);
  log = new AccessLog(new AccessLogStore(gateway));
  store = new AccessLogChainStore(gateway);
  chain = new AccessLogChain(store);
  superuser = new pg.Client({ connectionString: storage.database.superuserUrl });
  await superuser.connect();
});
afterEach(async () => {
  await superuser?.end();
  await storage?.close();
});

const look = (over: Partial<Parameters<AccessLog['record']>[1]> = {}) =>
  log.record({ principal: randomBytes(32) }, { kind: 'query', requestId: randomBytes(32), ...over });

/** Links until nothing settled is left. Other databases of the server have transactions too, so that it may take a moment. */
async function linkAll(): Promise<void> {
  const unlinked = async () =>
    (
      await gateway.query(
        'SELECT (SELECT count(*) FROM gateway.access_log) - (SELECT count(*) FROM gateway.access_log_link) AS n',
      )
    )[0].n;
  while ((await unlinked()) !== '0') {
    if (!(await store.link(1_000))) await sleep(20);
  }
}

async function links(): Promise<LinkedEntry[]> {
  const all: LinkedEntry[] = [];
  for await (const link of chain.links()) all.push(link);
  return all;
}

/** What a verifier says of the whole chain. */
async function fault(): Promise<string | undefined> {
  const all = await links();
  if (all.some(({ preimage }) => preimage === null)) return 'an entry is gone';
  return faultInAccessLog(all.map((link) => ({ ...link, sequence: BigInt(link.sequence) })));
}

/** As the database's owner could with some effort: triggers off. */
async function tamper(sql: string): Promise<void> {
  await superuser.query("SET session_replication_role = 'replica'");
  await superuser.query(sql);
  await superuser.query("SET session_replication_role = 'origin'");
}

describe('the chain of the access log', () => {
  it('has every entry once, dense, under the bytes of its documented layout', async () => {
    await Promise.all(Array.from({ length: 30 }, () => look()));
    await look({ kind: 'record-metadata', recordId: randomBytes(32), detail: { é: '"quoted"', list: [1, 2.5, null] } });
    await log.record(
      { principal: randomBytes(32), actor: { address: randomBytes(20), custody: 'self' } },
      { kind: 'audit' },
    );
    await linkAll();
    const all = await links();
    expect(all.map(({ sequence }) => Number(sequence))).toEqual(Array.from({ length: 32 }, (_, index) => index + 1));
    expect(new Set(all.map(({ id }) => id)).size).toBe(32);
    expect(await fault()).toBeUndefined();
    for (const { preimage, id, principal, actor, kind, recordId, requestId, detail } of all) {
      const entry = decodeAccessLogEntry(preimage);
      expect(entry).toMatchObject({ id: BigInt(id), principal, actor, kind, recordId, requestId });
      expect(JSON.parse(entry.detail)).toEqual(detail);
      expect(encodeAccessLogEntry(entry).equals(preimage)).toBe(true);
    }
    const head = await chain.head();
    expect(head).toMatchObject({ sequence: '32', head: all.at(-1)!.head });
    expect(await store.figures()).toEqual({ oldestUnlinked: 0, sequence: '32' });
  });

  it('is the same however it is cut into batches', async () => {
    await Promise.all(Array.from({ length: 40 }, () => look()));
    let linked = 0;
    while (linked < 40) linked += (await store.link(1 + (linked % 5))) ?? 0;
    expect(linked).toBe(40);
    expect(await fault()).toBeUndefined();
    const all = await links();
    const positions = await gateway.query(
      'SELECT l.entry_id AS id FROM gateway.access_log_link l JOIN gateway.access_log a ON a.id = l.entry_id ORDER BY a.position, a.id',
    );
    expect(all.map(({ id }) => id)).toEqual(positions.map(({ id }: { id: string }) => id));
  });

  it('loses no entry whose transaction ends late, though its number is lower', async () => {
    const late = new pg.Client({ connectionString: storage.database.gatewayUrl });
    await late.connect();
    const insert = "INSERT INTO gateway.access_log (principal, kind) VALUES ('\\x01', 'query') RETURNING id";
    try {
      // Its number first, its transaction's later: linked behind what began before it.
      await late.query('BEGIN');
      const { rows } = await late.query(insert);
      await look();
      await look();
      expect(await store.link(100)).toBe(0);
      expect((await store.figures()).oldestUnlinked).toBeGreaterThan(0);
      await late.query('COMMIT');
      await linkAll();
      const all = await links();
      expect(all).toHaveLength(3);
      expect(all[0]!.id).toBe(rows[0].id);
      // The other way round: the transaction is older than its entry.
      await late.query('BEGIN');
      await late.query('SELECT pg_current_xact_id()');
      await look();
      expect(await store.link(100)).toBe(0);
      const second = await late.query(insert);
      await late.query('COMMIT');
      await linkAll();
      expect((await links()).slice(3).map(({ id }) => id)[0]).toBe(second.rows[0].id);
      expect(await fault()).toBeUndefined();
    } finally {
      await late.end();
    }
  });

  it('passes over what was rolled back', async () => {
    const client = new pg.Client({ connectionString: storage.database.gatewayUrl });
    await client.connect();
    await client.query('BEGIN');
    await client.query("INSERT INTO gateway.access_log (principal, kind) VALUES ('\\x01', 'query')");
    await look();
    await client.query('ROLLBACK');
    await client.end();
    await linkAll();
    expect(await links()).toHaveLength(1);
    expect(await fault()).toBeUndefined();
  });

  it('has nothing skipped and nothing double though gateways are killed while they log and link', async () => {
    const told = new Set<string>();
    const start = (): ChildProcess => {
      const here = (path: string) => fileURLToPath(new URL(`../../../../test/${path}`, import.meta.url));
      const child = spawn(
        process.execPath,
        ['--import', here('stack/typescript.mjs'), here('access-log/gateway.child.ts'), storage.database.gatewayUrl],
        { stdio: ['ignore', 'pipe', 'inherit'] },
      );
      let rest = '';
      child.stdout!.on('data', (chunk) => {
        const lines = (rest + String(chunk)).split('\n');
        rest = lines.pop()!;
        for (const line of lines) told.add(line);
      });
      return child;
    };
    const grownBy = async (more: number) => {
      const aim = Number((await chain.head()).sequence) + more;
      while (Number((await chain.head()).sequence) < aim) await sleep(20);
    };
    const gateways = [start(), start()];
    await grownBy(60);
    // A linker's connection is cut in the middle, again and again; then its whole process is gone.
    for (let cut = 0; cut < 20; cut++) {
      await superuser.query(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = current_database() AND state = 'active' AND query LIKE '%link_access_log%' AND pid <> pg_backend_pid()`,
      );
      await sleep(5);
    }
    gateways[0]!.kill('SIGKILL');
    await grownBy(60);
    gateways.push(start());
    await grownBy(120);
    for (const child of gateways) child.kill('SIGKILL');
    await Promise.all(
      gateways.map((child) => child.exitCode ?? child.signalCode ?? new Promise((done) => child.once('exit', done))),
    );
    await linkAll();
    const all = await links();
    expect(await fault()).toBeUndefined();
    expect(new Set(all.map(({ id }) => id)).size).toBe(all.length);
    const linked = new Set(all.map(({ requestId }) => requestId!.toString('hex')));
    expect(told.size).toBeGreaterThan(240);
    expect([...told].filter((requestId) => !linked.has(requestId))).toEqual([]);
    expect((await gateway.query('SELECT count(*)::int AS n FROM gateway.access_log'))[0].n).toBe(all.length);
  });
});

describe('an altered access log', () => {
  beforeEach(async () => {
    for (let index = 0; index < 8; index++) await look({ recordId: randomBytes(32), detail: { index } });
    await linkAll();
    expect(await fault()).toBeUndefined();
  });

  it.each([
    [
      'an entry says something else',
      `UPDATE gateway.access_log SET detail = '{"index": 7}' WHERE id = (SELECT entry_id FROM gateway.access_log_link WHERE sequence = 3)`,
    ],
    [
      'an entry is of another time',
      "UPDATE gateway.access_log SET at = at + '1 microsecond' WHERE id = (SELECT entry_id FROM gateway.access_log_link WHERE sequence = 3)",
    ],
    [
      'an entry is gone',
      'DELETE FROM gateway.access_log WHERE id = (SELECT entry_id FROM gateway.access_log_link WHERE sequence = 3)',
    ],
    [
      'an entry and its link are gone',
      'WITH gone AS (DELETE FROM gateway.access_log_link WHERE sequence = 3 RETURNING entry_id) DELETE FROM gateway.access_log WHERE id IN (SELECT entry_id FROM gone)',
    ],
    [
      'two links have changed places',
      `UPDATE gateway.access_log_link SET sequence = 203 WHERE sequence = 3; UPDATE gateway.access_log_link SET sequence = 3 WHERE sequence = 4;
       UPDATE gateway.access_log_link SET sequence = 4 WHERE sequence = 203`,
    ],
    [
      'a link was put in between',
      `UPDATE gateway.access_log_link SET sequence = sequence + 100 WHERE sequence > 3;
       UPDATE gateway.access_log_link SET sequence = sequence - 99 WHERE sequence > 100;
       INSERT INTO gateway.access_log (principal, kind) VALUES ('\\x01', 'query');
       INSERT INTO gateway.access_log_link SELECT 4, max(a.id), sha256(gateway.access_log_preimage(max_row.a)), decode(repeat('00', 32), 'hex'), now()
         FROM gateway.access_log a, LATERAL (SELECT x AS a FROM gateway.access_log x ORDER BY id DESC LIMIT 1) max_row GROUP BY max_row.a`,
    ],
  ])('is found: %s', async (_, sql) => {
    for (const statement of sql.split(';')) await tamper(statement);
    expect(await fault()).toBeDefined();
  });

  it('is told by the linker when the last entry is gone', async () => {
    await tamper(
      'DELETE FROM gateway.access_log WHERE id = (SELECT entry_id FROM gateway.access_log_link ORDER BY sequence DESC LIMIT 1)',
    );
    await expect(store.link(10)).rejects.toMatchObject({ code: 'AL001' });
  });

  it('shows an entry that the chain passed over', async () => {
    await tamper(
      "INSERT INTO gateway.access_log (principal, kind, position, at) VALUES ('\\x01', 'query', 1, now() - interval '1 hour')",
    );
    expect((await store.figures()).oldestUnlinked).toBeGreaterThan(3_500);
  });
});

describe('the roles', () => {
  it('let the gateway add entries, and neither choose their time and place nor touch them again', async () => {
    await look();
    await linkAll();
    const insert = (column: string, value: string) =>
      gateway.query(`INSERT INTO gateway.access_log (principal, kind, ${column}) VALUES ('\\x01', 'query', ${value})`);
    const denied = { code: '42501' };
    await expect(insert('at', 'now()')).rejects.toMatchObject(denied);
    await expect(insert('position', '1')).rejects.toMatchObject(denied);
    for (const table of ['access_log', 'access_log_link', 'access_log_base']) {
      await expect(gateway.query(`DELETE FROM gateway.${table}`)).rejects.toMatchObject(denied);
      await expect(gateway.query(`TRUNCATE gateway.${table}`)).rejects.toMatchObject(denied);
    }
    await expect(gateway.query("UPDATE gateway.access_log SET kind = 'x'")).rejects.toMatchObject(denied);
    await expect(gateway.query('UPDATE gateway.access_log_link SET sequence = 9')).rejects.toMatchObject(denied);
    await expect(
      gateway.query("INSERT INTO gateway.access_log_link VALUES (9, 9, '', '', now())"),
    ).rejects.toMatchObject(denied);
    await expect(gateway.query('SELECT gateway.rebase_access_log()')).rejects.toMatchObject(denied);
  });

  it('keep the owner from changing a row by mistake', async () => {
    await look();
    await linkAll();
    const owner = new pg.Client({ connectionString: storage.database.ownerUrl });
    await owner.connect();
    for (const table of ['access_log', 'access_log_link']) {
      await expect(owner.query(`DELETE FROM gateway.${table}`)).rejects.toMatchObject({ code: 'AL003' });
      await expect(owner.query(`TRUNCATE gateway.${table}`)).rejects.toMatchObject({ code: 'AL003' });
    }
    await owner.end();
  });
});

describe('what auditors ask of a long log', () => {
  it('is found by index, whichever filter', async () => {
    await superuser.query(
      `INSERT INTO gateway.access_log (at, principal, actor, kind, record_id, position)
       SELECT now() - n * interval '1 second', sha256(int4send(n % 500)), substring(sha256(int4send(n % 499)) FOR 20),
         CASE WHEN n % 50 = 0 THEN 'audit' ELSE 'release' END, sha256(int4send(n % 5000)), 0 FROM generate_series(1, 40000) n`,
    );
    await linkAll();
    await superuser.query('ANALYZE gateway.access_log, gateway.access_log_link');
    const plan = {
      query: (sql: string, values: unknown[]) => gateway.query(`EXPLAIN ${sql}`, values),
    } as unknown as DataSource;
    const planned = new AccessLogChainStore(plan);
    const { rows } = await superuser.query('SELECT * FROM gateway.access_log ORDER BY id LIMIT 1');
    const { record_id: recordId, principal, actor } = rows[0];
    const [from, to] = [new Date(Date.now() - 3_000_000), new Date(Date.now() - 2_000_000)].map((it) =>
      it.toISOString(),
    );
    const before = { at: from!, id: '20000' };
    const asked: Record<string, [object, typeof before?]> = {
      nothing: [{}],
      'the next page': [{}, before],
      record: [{ recordId }],
      principal: [{ principal }],
      actor: [{ actor }],
      kind: [{ kind: 'audit' }],
      time: [{ from, to }],
      'record and time': [{ recordId, from, to }, before],
    };
    for (const [what, [filter, key]] of Object.entries(asked)) {
      const lines = (await planned.entries(filter, '40000', key, 50)).map((row) => Object.values(row)[0]).join('\n');
      expect(lines, what).toContain('Index');
      expect(lines, what).not.toContain('Seq Scan');
    }
    const stretch = (await planned.links('20000', '20100', 100)).map((row) => Object.values(row)[0]).join('\n');
    expect(stretch).not.toContain('Seq Scan');
    expect(await store.entries({ recordId }, '40000', undefined, 50)).toHaveLength(8);
  });
});

describe('a log restored from a dump into another server', () => {
  it('is refused until it is migrated, then goes on where it was', async () => {
    await look();
    await linkAll();
    // The other server's transactions are behind: as seen from here, the log's are ahead.
    await tamper('UPDATE gateway.access_log SET position = position + 1000000');
    await look();
    await expect(store.link(10)).rejects.toMatchObject({ code: 'AL002' });
    // What was written meanwhile stands in front of the last link, and isn't lost.
    await migrate(storage.database.ownerUrl);
    await look();
    await linkAll();
    expect(await links()).toHaveLength(3);
    expect(await fault()).toBeUndefined();
    await migrate(storage.database.ownerUrl);
    await look();
    await linkAll();
    expect(await links()).toHaveLength(4);
    expect(await fault()).toBeUndefined();
  });
});
