import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { LedgerLoad } from '../../apps/indexer/test/ledger-load.js';
import { Operation } from '../../libs/contracts/src/operations.js';
import { type ParametersOf, parameters } from '../../libs/contracts/src/parameters.js';

import { expectStatus, type Hospital, type Hospitals, type SharedLedger, startHospitals } from './hospitals.js';

let hospitals: Hospitals;
let a: Hospital;
let b: Hospital;
let sql: pg.Client;
const loads: LedgerLoad[] = [];

/** Hospital A's relayer and registrar, beside its gateway. */
function actsOn(chain: SharedLedger): LedgerLoad {
  const { relayerKeys, registrarKey } = a.founder;
  const load = new LedgerLoad({ ...chain, registrarKey, relayerKey: relayerKeys[0]!, hospital: 1 });
  loads.push(load);
  return load;
}

beforeAll(async () => {
  hospitals = await startHospitals({ env: { ANCHOR_SECONDS: '1' } });
  ({ a, b } = hospitals);
  sql = new pg.Client({ connectionString: a.database.superuserUrl });
  await sql.connect();
});
afterAll(async () => {
  for (const load of loads) await load.close();
  await sql?.end();
  await hospitals?.close();
});

/** What a hospital says of another's ledger. */
const ledgerOf = async (at: Hospital, hospital: Hospital) => {
  const { body } = expectStatus(await at.call('auditor.x', ['auditor'], 'GET', '/v1/audit/integrity'), 200);
  return body.hospitals.find((ledger: { hospital: number }) => ledger.hospital === hospital.id);
};
const anchorsOf = async (hospital: Hospital): Promise<Record<string, unknown>[]> =>
  (await sql.query('SELECT * FROM mirror.anchor WHERE hospital = $1 ORDER BY sequence', [hospital.id])).rows;
/** For how long hospital A's oldest act or look has waited. */
const unanchored = async () => Number(/^emr_unanchored_seconds (\S+)$/m.exec(await a.metrics())?.[1]);
const patience = { timeout: 30_000, interval: 200 };

describe('an honest hospital', () => {
  it('has its ledger anchored, and the other one folds the events behind each anchor', async () => {
    const load = actsOn(a.local);
    await load.prepare(3);
    for (let count = 0; count < 3; count += 1) await load.mined(load.queries(20));
    const reached = 3 + 3 + 60; // what founded the ledger and registered the clinician, records, looks
    await expect.poll(async () => (await ledgerOf(b, a))?.verifiedThrough?.sequence, patience).toBe(`${reached}`);
    expect(await ledgerOf(b, a)).toMatchObject({ hospital: 1, state: 'verified', problem: null, incidents: [] });
    const { body } = await a.call('auditor.x', ['auditor'], 'GET', '/v1/audit/events');
    expect(body.anchoredThrough.local).toMatchObject({ sequence: `${reached}` });
    expect(body.anchoredThrough.global).toEqual(body.confirmedThrough.global);
  });

  it('has its access log anchored with it, as far as it had come', async () => {
    await expect
      .poll(async () => Number((await ledgerOf(b, a)).lastAnchor.accessSequence), patience)
      .toBeGreaterThan(0);
    const { accessSequence, accessHead } = (await ledgerOf(b, a)).lastAnchor;
    const { rows } = await sql.query('SELECT head FROM gateway.access_log_link WHERE sequence = $1', [accessSequence]);
    expect(`0x${rows[0].head.toString('hex')}`).toBe(accessHead);
  });

  it('is anchored no more while nothing happens', async () => {
    const quiet = async () =>
      (await unanchored()) === 0 &&
      (
        await sql.query(
          `SELECT FROM gateway.access_log a WHERE NOT EXISTS (SELECT FROM gateway.access_log_link l WHERE l.entry_id = a.id)`,
        )
      ).rowCount === 0;
    await expect.poll(quiet, patience).toBe(true);
    const before = (await anchorsOf(a)).length;
    // B's look at A's block comes with every round of its own: some have gone by without an anchor.
    const rounds = async () =>
      (await sqlOf(b, 'SELECT answered_at FROM gateway.anchor_follow WHERE hospital = 1'))[0]!.answered_at;
    for (let count = 0; count < 3; count += 1) {
      const last = await rounds();
      await expect.poll(async () => String(await rounds()), patience).not.toBe(String(last));
    }
    expect((await anchorsOf(a)).length).toBe(before);
    expect(await unanchored()).toBe(0);
  });
});

describe('an access log that is not what was anchored of it', () => {
  const incidents = async () =>
    (await sql.query(`SELECT * FROM gateway.anchor_incident WHERE kind = 'access-log' AND resolved_at IS NULL`)).rows;
  /** As somebody with the password of the database's owner would, past the trigger that refuses it. */
  const change = async (statement: string, parameters: unknown[]) => {
    await sql.query('SET session_replication_role = replica');
    await sql.query(statement, parameters);
    await sql.query('RESET session_replication_role');
  };

  it('is told of by its hospital, whether entries were changed or lost, until the anchored ones are back', async () => {
    await expect.poll(unanchored, patience).toBe(0);
    expect(await incidents()).toEqual([]);
    const { lastAnchor } = await ledgerOf(b, a);
    const link = 'FROM gateway.access_log_link WHERE sequence = $1';
    const { rows } = await sql.query(`SELECT * ${link}`, [lastAnchor.accessSequence]);
    const [{ sequence, entry_id, head }] = rows;
    expect(`0x${head.toString('hex')}`).toBe(lastAnchor.accessHead);

    const forged = Buffer.alloc(32, 0xaa);
    await change('UPDATE gateway.access_log_link SET head = $2 WHERE sequence = $1', [sequence, forged]);
    await expect.poll(incidents, patience).toMatchObject([{ hospital: '1', anchored: head, found: forged }]);
    const detail = `Hospital 1 anchored head ${lastAnchor.accessHead} of the first ${sequence} entries of its access log`;
    expect(a.log).toContainEqual(
      expect.objectContaining({
        ...{ alarm: true, runbook: 'anchor-broken', hospital: 1 },
        detail: `${detail}; its entries lead to 0x${'aa'.repeat(32)} there.`,
      }),
    );
    expect(await a.metrics()).toMatch(/^emr_anchor_incidents\{hospital="1"\} 1$/m);
    await change('UPDATE gateway.access_log_link SET head = $2 WHERE sequence = $1', [sequence, head]);
    await expect.poll(incidents, patience).toEqual([]);

    await sql.query('CREATE TEMP TABLE lost AS SELECT * FROM gateway.access_log WHERE id = $1', [entry_id]);
    await change('DELETE FROM gateway.access_log WHERE id = $1', [entry_id]);
    await change(`DELETE ${link}`, [sequence]);
    await expect
      .poll(incidents, patience)
      .toMatchObject([{ found: null, detail: `${detail}; the log has fewer entries.` }]);
    // A link follows from its entry: the gateway makes it again.
    await change('INSERT INTO gateway.access_log OVERRIDING SYSTEM VALUE SELECT * FROM lost', []);
    await expect.poll(incidents, patience).toEqual([]);
  });
});

describe('a hospital that rewrites its ledger', () => {
  it('is told of by the others, by number, block and sequence, though it anchors nothing any more', async () => {
    const { lastAnchor } = await ledgerOf(b, a);
    const anchors = (await anchorsOf(a)).length;
    await rewrite(2);
    const { rows } = await sql.query(`SELECT sequence FROM mirror.cursor WHERE network = 'local'`);
    expect(Number(rows[0].sequence)).toBeGreaterThan(Number(lastAnchor.sequence));
    await expect
      .poll(async () => (await ledgerOf(b, a)).incidents.map((it: { kind: string }) => it.kind), patience)
      .toContain('block');
    const anchored = (await ledgerOf(b, a)).lastAnchor;
    const ledger = await ledgerOf(b, a);
    expect(ledger.state).toBe('broken');
    expect(ledger.incidents[0]).toMatchObject({
      ...{
        kind: 'block',
        hospital: 1,
        block: anchored.block,
        sequence: anchored.sequence,
        anchored: anchored.blockHash,
      },
      detail: expect.stringMatching(/^Hospital 1 anchored block \d+ \(sequence \d+\) as 0x/),
    });
    expect(ledger.incidents[0].found).not.toBe(anchored.blockHash);
    expect(b.log).toContainEqual(
      expect.objectContaining({
        alarm: true,
        runbook: 'anchor-broken',
        hospital: 1,
        block: anchored.block,
        sequence: anchored.sequence,
      }),
    );
    expect(await b.metrics()).toMatch(/^emr_anchor_incidents\{hospital="1"\} 1$/m);
    // Its own gateway builds nothing on a chain that isn't the one it anchored.
    expect((await ledgerOf(a, a)).incidents).toHaveLength(1);
    await expect.poll(unanchored, patience).toBeGreaterThan(3);
    expect((await anchorsOf(a)).length).toBe(anchors);
  });

  it('is found out by the fold when it anchors the false history as well, longer than the true one', async () => {
    const { lastAnchor } = await ledgerOf(b, a);
    const { rows } = await sql.query(
      `SELECT b.number, b.hash, b.sequence, b.head FROM mirror.cursor c JOIN mirror.block b USING (network, number) WHERE network = 'local'`,
    );
    const tip = rows[0];
    const lie: ParametersOf<'anchorLedger'> = {
      ...{ localChainId: BigInt(a.local.chainId), block: BigInt(tip.number), blockHash: tip.hash },
      previousSequence: BigInt(lastAnchor.sequence),
      previousHead: Buffer.from(lastAnchor.head.slice(2), 'hex'),
      ...{ localSequence: BigInt(tip.sequence), localHead: tip.head },
      accessSequence: BigInt(lastAnchor.accessSequence),
      accessHead: Buffer.from(lastAnchor.accessHead.slice(2), 'hex'),
    };
    const load = actsOn(a.global);
    const anchor = (values: ParametersOf<'anchorLedger'>) =>
      load.mined([
        load.intent(Operation.ANCHOR_LEDGER, {
          key: a.founder.registrarKey,
          parameters: parameters.anchorLedger(values),
        }),
      ]);
    const count = (await anchorsOf(a)).length;
    // One that doesn't begin where the last one ended is refused by the ledger.
    await anchor({ ...lie, previousHead: tip.head });
    await anchor(lie);
    await expect.poll(async () => (await anchorsOf(a)).length, patience).toBe(count + 1);
    const refused = await sql.query(
      `SELECT outcome FROM mirror.emr_event WHERE network = 'global' AND operation = $1 AND outcome <> 0`,
      [Operation.ANCHOR_LEDGER],
    );
    expect(refused.rows).toEqual([{ outcome: 33 }]);

    const folds = async () => (await ledgerOf(b, a)).incidents.filter(({ kind }: { kind: string }) => kind === 'fold');
    await expect.poll(async () => (await folds()).length, patience).toBe(1);
    const [fold] = await folds();
    expect(fold).toMatchObject({
      ...{ hospital: 1, block: tip.number, sequence: tip.sequence, anchored: `0x${tip.head.toString('hex')}` },
      detail: expect.stringMatching(
        /^Hospital 1 anchored head 0x[0-9a-f]{64} at sequence \d+, block \d+; its events from sequence \d+ on lead to 0x/,
      ),
    });
    expect((await ledgerOf(b, a)).verifiedThrough).toBeNull();
    // B itself is as honest as ever.
    await expect.poll(() => ledgerOf(a, b), patience).toMatchObject({ state: 'verified', incidents: [] });
  });
});

/** Takes hospital A's chain back by `blocks`, seals other ones there, more than there were, and has its mirror built anew from them. */
async function rewrite(blocks: number): Promise<void> {
  await a.stopGateway();
  await a.stopIndexer();
  const load = actsOn(a.local);
  const tip = BigInt(await load.request<string>('eth_blockNumber'));
  await load.request('debug_setHead', [`0x${(tip - BigInt(blocks)).toString(16)}`]);
  await load.prepare(2);
  for (let count = 0; count < blocks; count += 1) await load.mined(load.queries(30));
  const { rows } = await sql.query(
    `SELECT table_name FROM information_schema.columns WHERE table_schema = 'mirror' AND column_name = 'network'`,
  );
  for (const { table_name } of rows) await sql.query(`DELETE FROM mirror.${table_name} WHERE network = 'local'`);
  await sql.query(`DELETE FROM mirror.network WHERE name = 'local'`);
  a.startIndexer();
  const head = BigInt(await load.request<string>('eth_blockNumber'));
  const cursor = async () =>
    (await sql.query(`SELECT number FROM mirror.cursor WHERE network = 'local'`)).rows[0]?.number;
  await expect.poll(cursor, patience).toBe(`${head}`);
  await a.startGateway();
}

async function sqlOf({ database }: Hospital, text: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: database.superuserUrl });
  await client.connect();
  try {
    return (await client.query(text)).rows;
  } finally {
    await client.end();
  }
}
