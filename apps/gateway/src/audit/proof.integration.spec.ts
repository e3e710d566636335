import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { flipped, unnoticed } from '../../../../test/builders/tampering.js';
import { type AuditedLedger, startAuditedLedger } from '../../../../test/stack/audited-ledger.js';
import { TEST_ISSUER } from '../../../../test/stack/gateway.js';
import { verifyHistory } from '../../../../verifier/history.mjs';
import { verifyProof } from '../../../../verifier/proof.mjs';
import { Records } from '../policy/records.service.js';
import type { HistoryProof } from './history.schema.js';
import type { EventProof } from './proof.schema.js';

const auditor = ['auditor'];
const patient = ['patient'];
/** The second of three looks in one transaction. */
const EVENT = '/v1/audit/events/ev_local_11/proof';

let ledger: AuditedLedger;
let sql: pg.Client;
let record: string;

beforeAll(async () => {
  ledger = await startAuditedLedger(3);
  for (let round = 0; round < 4; round++) await ledger.load.mined(ledger.load.queries(3));
  await ledger.mirrored();
  record = `0x${(ledger.load.records[0] as Buffer).toString('hex')}`;
  sql = new pg.Client({ connectionString: ledger.gateway.database.superuserUrl });
  await sql.connect();
});
afterAll(async () => {
  await sql?.end();
  await ledger?.close();
});

/** The node's own word for the hash of a block. */
async function hashOf(number: string): Promise<string> {
  const at = `0x${BigInt(number).toString(16)}`;
  return (await ledger.load.request<{ hash: string }>('eth_getBlockByNumber', [at, false])).hash;
}

async function get<T>(path: string, roles = auditor): Promise<{ text: string; body: T }> {
  const { status, text } = await ledger.call(roles, path);
  expect(status, text).toBe(200);
  return { text, body: JSON.parse(text) as T };
}

async function looks(kind: string): Promise<number> {
  const { rows } = await sql.query('SELECT count(*)::int AS n FROM gateway.access_log WHERE detail ? $1', [kind]);
  return rows[0].n;
}

describe('the proof of an event', () => {
  it('verifies offline against a block and a contract that are known from elsewhere', async () => {
    const { text, body } = await get<EventProof>(EVENT);
    const trust = [await hashOf(body.checkpoint.number), ledger.chain.contract];
    const { code, output } = await ledger.verify('proof', [text], trust);
    expect(output).toMatch(/^event 11: QUERY by 0x[0-9a-f]{40} of hospital 1 on record 0x[0-9a-f]{64} for TREAT: OK$/m);
    expect(output.split('\n').at(-1)).toMatch(/^verified: /);
    expect(code).toBe(0);
  });

  it('verifies for every event there is, those of the deployment too', async () => {
    const { body } = await get<{ items: { id: string; sequence: string }[] }>('/v1/audit/events');
    expect(body.items.length).toBeGreaterThan(15);
    for (const { id, sequence } of body.items) {
      const { text } = await get(`/v1/audit/events/${id}/proof`);
      expect(verifyProof(text).event.sequence).toBe(BigInt(sequence));
    }
  });

  it('is worth nothing to who trusts another block or contract, and says which to compare', async () => {
    const { text, body } = await get<EventProof>(EVENT);
    const hash = await hashOf(body.checkpoint.number);
    for (const trust of [[], [hash], [ledger.chain.contract], [hash, `0x${'11'.repeat(20)}`]]) {
      const { code, output } = await ledger.verify('proof', [text], trust);
      expect(output.split('\n').at(-1)).toMatch(/^NOT verified: .* not among what you trust/);
      expect(code).toBe(1);
    }
  });

  it('can end with a block of the asker’s choice, and is believed for any block on the way', async () => {
    const { body } = await get<EventProof>(EVENT);
    const last = BigInt(body.checkpoint.number);
    const first = last - BigInt(body.headers.length) + 1n;
    const { body: near } = await get<EventProof>(`${EVENT}?through=${first}`);
    expect(near.headers).toHaveLength(1);
    const { text } = await get(EVENT);
    expect((await ledger.verify('proof', [text], [ledger.chain.contract, await hashOf(String(first))])).code).toBe(0);
    expect((await ledger.call(auditor, `${EVENT}?through=${first - 1n}`)).status).toBe(409);
    expect((await ledger.call(auditor, `${EVENT}?through=${last + 1n}`)).status).toBe(409);
    expect((await ledger.call(auditor, `${EVENT}?through=x`)).status).toBe(400);
  });

  it('ends with a checkpoint where there is one', async () => {
    const { body } = await get<EventProof>(EVENT);
    const block = BigInt(body.checkpoint.number) - 1n;
    await sql.query(
      `INSERT INTO mirror.checkpoint (network, block_number, block_hash, sequence, head)
       SELECT network, number, hash, sequence, head FROM mirror.block WHERE number = $1`,
      [String(block)],
    );
    expect((await get<EventProof>(EVENT)).body.checkpoint.number).toBe(String(block));
    await sql.query('DELETE FROM mirror.checkpoint');
  });

  it('has no byte that could be changed unnoticed', async () => {
    const { body } = await get<EventProof>(EVENT);
    const first = BigInt(body.checkpoint.number) - BigInt(body.headers.length) + 1n;
    const { text } = await get(`${EVENT}?through=${first}`);
    expect(await unnoticed(text, verifyProof)).toEqual([]);
  });

  it('with a chain of headers has no byte either, whichever bit is flipped', async () => {
    const { text } = await get(EVENT);
    fc.assert(
      fc.property(fc.nat({ max: text.length - 1 }), fc.nat({ max: 6 }), (at, bit) => {
        expect(() => verifyProof(flipped(text, at, bit))).toThrow();
      }),
      { numRuns: 500 },
    );
  });

  it('says which step failed', async () => {
    const { body } = await get<EventProof>(EVENT);
    const changed = (change: (proof: EventProof) => void) => {
      const proof = structuredClone(body);
      change(proof);
      return () => verifyProof(JSON.stringify(proof));
    };
    const other = `0x${'00'.repeat(32)}`;
    expect(changed((proof) => proof.headers.splice(1, 1))).toThrow('headers[1] is not the child');
    expect(changed((proof) => proof.headers.pop())).toThrow('checkpoint.number');
    expect(changed((proof) => proof.path.pop())).toThrow('path ends before its value');
    expect(changed((proof) => proof.path.push(proof.path[0]!))).toThrow('path has 1 nodes too many');
    expect(changed((proof) => (proof.receipt.index = '7'))).toThrow('path');
    expect(changed((proof) => (proof.previous.head = other))).toThrow('another head than the Head event says');
    expect(changed((proof) => (proof.reached.head = other))).toThrow('reached.head');
    expect(changed((proof) => (proof.event.data = proof.event.data.replace(/.$/, '9')))).toThrow(
      'not among the events',
    );
    expect(() => verifyProof(JSON.stringify(body, null, 1))).toThrow('see character 1');
  });

  it('is for auditors, and leaves a trace', async () => {
    for (const roles of [['clinician'], ['admin'], patient]) expect((await ledger.call(roles, EVENT)).status).toBe(403);
    expect((await ledger.call(auditor, '/v1/audit/events/ev_local_999/proof')).status).toBe(404);
    expect((await ledger.call(auditor, '/v1/audit/events/ev_elsewhere_1/proof')).status).toBe(404);
    const before = await looks('proof');
    await get(EVENT, ['privacy-officer']);
    expect(await looks('proof')).toBe(before + 1);
  });
});

describe('the proof of a record’s history', () => {
  const path = () => `/v1/emrs/${record}/history-proof`;

  it('verifies offline, shows every act on the record and none on another', async () => {
    const { text, body } = await get<HistoryProof>(path());
    const trust = [await hashOf(body.checkpoint.number), ledger.chain.contract];
    const { code, output } = await ledger.verify('history', [text], trust);
    expect(output).toContain('5 events, and no others');
    expect(code).toBe(0);
    for (const other of ledger.load.records.slice(1)) expect(text).not.toContain(other.toString('hex'));
  });

  it('is given to the record’s patient, and to no other', async () => {
    expect((await ledger.call(patient, path())).status).toBe(404);
    const account = ledger.gateway.app.get(Records).accountIndex(TEST_ISSUER, 'somebody.patient');
    await sql.query(
      `WITH p AS (INSERT INTO gateway.patient (id, identifier_index, identifier_sealed, kek_id)
                  VALUES (gen_random_uuid(), $1, $1, 'kek-1') RETURNING id),
         r AS (INSERT INTO gateway.patient_record (record_id, patient_id, subject_address) SELECT $2, id, $3 FROM p)
       INSERT INTO gateway.patient_account (account_index, patient_id) SELECT $4, id FROM p`,
      [randomBytes(32), ledger.load.records[0], randomBytes(20), account],
    );
    const before = await looks('history');
    await get(path(), patient);
    expect(await looks('history')).toBe(before + 1);
    const other = `0x${(ledger.load.records[1] as Buffer).toString('hex')}`;
    expect((await ledger.call(patient, `/v1/emrs/${other}/history-proof`)).status).toBe(404);
    expect((await ledger.call(['clinician'], path())).status).toBe(403);
    expect((await ledger.call(auditor, `/v1/emrs/0x${'00'.repeat(32)}/history-proof`)).status).toBe(404);
    expect((await ledger.call(auditor, `${path()}?network=elsewhere`)).status).toBe(404);
  });

  it('has no byte that could be changed unnoticed', async () => {
    const { text } = await get(path());
    expect(await unnoticed(text, verifyHistory)).toEqual([]);
  });

  it('is found out when an act is left out, first, last or in between, or two are swapped', async () => {
    const { body } = await get<HistoryProof>(path());
    const changed = (change: (events: HistoryProof['events']) => unknown) => {
      const proof = structuredClone(body);
      change(proof.events);
      return () => verifyHistory(JSON.stringify(proof));
    };
    expect(changed((events) => events.shift())).toThrow('events[0] is event 2 of the record where 1 is due');
    expect(changed((events) => events.splice(2, 1))).toThrow('events[2] is event 4 of the record where 3 is due');
    expect(changed((events) => events.pop())).toThrow('there are 4 events, and the ledger counted 5');
    expect(changed((events) => events.push(events[0]!))).toThrow('events[5] is event 1 of the record where 6 is due');
    expect(changed((events) => ([events[1], events[2]] = [events[2]!, events[1]!]))).toThrow('events[1] is event 3');
  });
});

describe('a proof without a node that is well', () => {
  it('is refused when the node’s receipts are not those that the block commits to', async () => {
    const { rows } = await sql.query('SELECT block_number FROM mirror.emr_event WHERE sequence = 11');
    const alter =
      'UPDATE mirror.block SET receipts_root = set_byte(receipts_root, 0, 255 - get_byte(receipts_root, 0)) WHERE number = $1';
    await sql.query(alter, [rows[0].block_number]);
    const { status, text } = await ledger.call(auditor, EVENT);
    await sql.query(alter, [rows[0].block_number]);
    expect(status).toBe(503);
    expect(JSON.parse(text)).toMatchObject({
      code: 'CHAIN_UNAVAILABLE',
      detail: expect.stringContaining('other receipts'),
    });
    await get(EVENT);
  });

  it('is refused while the node is away, with a word when to try again', async () => {
    await ledger.chain.kill();
    for (const path of [EVENT, `/v1/emrs/${record}/history-proof`]) {
      const { status, text, headers } = await ledger.call(auditor, path);
      expect(JSON.parse(text)).toMatchObject({ code: 'CHAIN_UNAVAILABLE' });
      expect(status).toBe(503);
      expect(Number(headers.get('retry-after'))).toBeGreaterThan(0);
    }
  });
});
