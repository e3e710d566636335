import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bundle } from '../../chaos/client/bundle.builder.js';
import { type Ledger, ledgerOf, relayerKey } from '../../chaos/client/ledger.js';
import { expectStatus } from '../../chaos/client/user.js';
import { addressOf, newKey, signDigest } from '../../libs/chain-client/src/keys/secp256k1.js';
import { type Intent, intentDigest, type UnsignedIntent } from '../../libs/contracts/src/intent.codec.js';
import { Operation, Purpose, reasonName } from '../../libs/contracts/src/operations.js';
import { parameters } from '../../libs/contracts/src/parameters.js';
import { fromHex, toHex } from '../../libs/platform/src/bytes.js';
import { type E2eHospital, type E2eStack, startHospitals } from './hospitals.js';

/**
 * What the ledger itself refuses, with the gateway out of the way: hospital A's gateway is stopped, and whoever has its
 * relayer's key, as a broken or stolen gateway would, carries what they like. The actors keep their keys themselves.
 */
let e2e: E2eStack;
let a: E2eHospital;
let ledger: Ledger;
let relayer: Buffer;
let database: pg.Client;
let recordId: Buffer;
const related = newKey();
const stranger = newKey();
const content = bundle({ id: 'authority' });

beforeAll(async () => {
  e2e = await startHospitals();
  a = e2e.a;
  const admin = a.user('admin.a');
  for (const [subject, key] of [
    ['related', related],
    ['stranger', stranger],
  ] as const) {
    const body = { subject, roles: ['clinician'], address: toHex(addressOf(key)) };
    expectStatus(await admin.post('/v1/admin/actors', body), 201);
  }
  const clinician = a.user('clinician.a');
  const id = await clinician.open('authority', content);
  recordId = fromHex(id, 32);
  const party = { actor: toHex(addressOf(related)) };
  expectStatus(await clinician.post(`/v1/emrs/${id}/relations`, { party }), 201);
  ledger = ledgerOf(a, 'local');
  relayer = await relayerKey(a, 'local');
  database = new pg.Client({ connectionString: a.database.ownerUrl });
  await database.connect();
  await a.gateway.stop();
});
afterAll(async () => {
  await database?.end();
  await ledger?.close();
  await e2e?.remove();
});

/** An intent of `actor`, signed with `key` (the actor's own unless told). */
function intent(key: Buffer, act: Partial<UnsignedIntent>, signer = key): Intent {
  const unsigned: UnsignedIntent = {
    operation: Operation.QUERY,
    requestId: randomBytes(32),
    recordId,
    parameters: parameters.query({ version: 1, purpose: Purpose.TREAT, ttl: 300, basis: Buffer.alloc(32) }),
    actor: addressOf(key),
    deadline: Math.floor(Date.now() / 1000) + 86_400,
    authContext: randomBytes(32),
    ...act,
  };
  return { ...unsigned, signature: signDigest(signer, intentDigest(ledger.domain, unsigned)) };
}

/** Everything the mirror knows of the record but its order, once the mirror has the ledger's last event. */
async function state(): Promise<unknown> {
  const { number } = (await ledger.reader.header('latest')) ?? { number: 0n };
  await until(async () => {
    const { rows } = await database.query(`SELECT number FROM mirror.cursor WHERE network = 'local'`);
    return BigInt(rows[0].number) >= number;
  });
  const { rows: records } = await database.query(
    `SELECT custodian, version, content_hash, level, subject, status, frozen_by FROM mirror.record WHERE record_id = $1`,
    [recordId],
  );
  const { rows: relations } = await database.query(
    'SELECT * FROM mirror.relation WHERE record_id = $1 ORDER BY party',
    [recordId],
  );
  const { rows: actors } = await database.query(`SELECT * FROM mirror.actor WHERE network = 'local' ORDER BY address`);
  const { rows: grants } = await database.query('SELECT * FROM mirror.access_grant');
  return JSON.parse(JSON.stringify({ records, relations, actors, grants }));
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  for (const deadline = Date.now() + 20_000; Date.now() < deadline; ) {
    if (await condition()) return;
    await new Promise((wake) => setTimeout(wake, 50));
  }
  throw new Error('the mirror did not follow in 20 s');
}

describe('with the gateway bypassed', () => {
  test('the ledger lets a related clinician look, so that what follows is refused for its own reason', async () => {
    const { receipt, events } = await ledger.carry(relayer, [intent(related, {})]);
    expect(receipt.status).toBe(1);
    expect(events.map(({ type }) => type)).toEqual(['RecordQueried', 'Head']);
  });

  test.each([
    [
      'look',
      Operation.QUERY,
      parameters.query({ version: 1, purpose: Purpose.TREAT, ttl: 300, basis: Buffer.alloc(32) }),
    ],
    ['amend', Operation.AMEND, parameters.amend({ expectedVersion: 1, contentHash: Buffer.alloc(32, 1) })],
    ['relate themself', Operation.RELATE, parameters.relate({ party: addressOf(stranger), duration: 0 })],
  ])('a clinician without a relation is refused by the ledger: may not %s', async (_what, operation, given) => {
    const before = await state();
    const act = intent(stranger, { operation, parameters: given });
    const { receipt, events } = await ledger.carry(relayer, [act]);
    expect(receipt.status).toBe(1); // a refusal is on record, never a silent revert
    expect(events.map(({ type }) => type)).toEqual(['AccessDenied', 'Head']);
    const [denied] = events;
    if (denied?.type !== 'AccessDenied') throw new Error('no AccessDenied');
    expect(reasonName(denied.reason)).toBe('NO_RELATION');
    expect(denied.actor.equals(addressOf(stranger))).toBe(true);
    expect(denied.requestId.equals(act.requestId)).toBe(true);
    expect(await state()).toEqual(before);
    const { rows } = await database.query(`SELECT type FROM mirror.emr_event WHERE request_id = $1`, [act.requestId]);
    expect(rows).toEqual([{ type: 'AccessDenied' }]);
  });

  test('a grant that nobody gave opens nothing', async () => {
    const basis = randomBytes(32);
    const given = parameters.query({ version: 1, purpose: Purpose.TREAT, ttl: 300, basis });
    const { events } = await ledger.carry(relayer, [intent(stranger, { parameters: given })]);
    expect(events[0]).toMatchObject({ type: 'AccessDenied' });
  });

  test('one refused act leaves the others of its transaction alone', async () => {
    const { events } = await ledger.carry(relayer, [intent(related, {}), intent(stranger, {}), intent(related, {})]);
    expect(events.map(({ type }) => type)).toEqual(['RecordQueried', 'AccessDenied', 'RecordQueried', 'Head']);
  });

  test('an act cannot be forged: without the actor’s signature nothing is consumed and nobody is named', async () => {
    const before = await state();
    const forged = intent(related, {}, newKey());
    const { receipt, events } = await ledger.carry(relayer, [forged]);
    expect(receipt.status).toBe(1);
    expect(events.filter(({ type }) => type !== 'Head')).toMatchObject([{ type: 'BadSignature' }]);
    expect(await state()).toEqual(before);
    // The request is still free for the actor's own signature.
    const own = intent(related, { requestId: forged.requestId });
    expect((await ledger.carry(relayer, [own])).events[0]).toMatchObject({ type: 'RecordQueried' });
  });

  test('an act cannot be played again or exchanged under its request', async () => {
    const act = intent(related, {});
    await ledger.carry(relayer, [act]);
    const again = await ledger.carry(relayer, [act]);
    expect(again.events.filter(({ type }) => type !== 'Head')).toMatchObject([{ type: 'Duplicate' }]);
    const given = parameters.query({ version: 1, purpose: Purpose.HRESCH, ttl: 300, basis: Buffer.alloc(32) });
    const other = intent(related, { requestId: act.requestId, parameters: given });
    const exchanged = await ledger.carry(relayer, [other]);
    expect(exchanged.events.filter(({ type }) => type !== 'Head')).toMatchObject([{ type: 'Mismatch' }]);
  });

  test('only a registered relayer is heard at all', async () => {
    const { receipt, events } = await ledger.carry(newKey(), [intent(related, {})]);
    expect([receipt.status, events]).toEqual([0, []]);
  });
});
