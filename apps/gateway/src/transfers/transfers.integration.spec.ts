import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  type Answer,
  expectStatus,
  type Hospital,
  type Hospitals,
  startHospitals,
} from '../../../../test/hospitals/hospitals.js';

const bundle = (text: string) => ({ resourceType: 'Bundle', type: 'collection', id: text });
const clinician = ['clinician'];

let hospitals: Hospitals;
let a: Hospital;
let b: Hospital;

beforeAll(async () => {
  hospitals = await startHospitals();
  ({ a, b } = hospitals);
  await a.register('clinician.a', clinician);
  await b.register('clinician.b', clinician);
});
afterAll(() => hospitals?.close());

async function propose(record: string, over: object = {}): Promise<string> {
  const answer = await a.call('clinician.a', clinician, 'POST', `/v1/emrs/${record}/transfers`, {
    toHospital: 2,
    mode: 'copy',
    ...over,
  });
  return expectStatus(answer, 201).headers.get('location')!.split('/').at(-1)!;
}

const view = async (hospital: Hospital, id: string): Promise<Answer> =>
  hospital.call(hospital === a ? 'clinician.a' : 'clinician.b', clinician, 'GET', `/v1/transfers/${id}`);

/** Waits until the transfer, as this hospital shows it, is as wanted. */
async function until(
  hospital: Hospital,
  id: string,
  wanted: (body: Answer['body']) => boolean,
): Promise<Answer['body']> {
  let last: Answer | undefined;
  for (let count = 0; count < 300; count++) {
    last = await view(hospital, id);
    if (last.status === 200 && wanted(last.body)) return last.body;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`the transfer at hospital ${hospital.id} stays ${last?.text}`);
}

/** Waits until this hospital's mirror has the record. */
async function seen(hospital: Hospital, record: string): Promise<void> {
  for (let count = 0; count < 100; count++) {
    if ((await hospital.call('clinician.b', clinician, 'GET', `/v1/emrs/${record}`)).status === 200) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

const done = (body: Answer['body']) => body.step === 'done';
const act = (hospital: Hospital, id: string, what: string, body?: unknown) =>
  hospital.call(hospital === a ? 'clinician.a' : 'clinician.b', clinician, 'POST', `/v1/transfers/${id}/${what}`, body);
const emr = async (hospital: Hospital, id: string) =>
  (await hospital.call(hospital === a ? 'clinician.a' : 'clinician.b', clinician, 'GET', `/v1/emrs/${id}`)).body;

describe('a transfer between two hospitals', () => {
  it('ends with a copy that the receiving clinician can read, and the source unfrozen', async () => {
    const record = await a.open('clinician.a', '000123', bundle('one'));
    const id = await propose(record);
    await until(b, id, (body) => body.packageReceived);
    expect((await emr(a, record)).frozenBy).toBe(id);
    expectStatus(await act(b, id, 'acceptance'), 200);
    const received = await until(b, id, done);
    const sent = await until(a, id, done);
    expect([received.state, sent.state]).toEqual(['completed', 'completed']);
    const copy = await emr(b, received.receivedRecordId);
    expect(copy).toMatchObject({ origin: id, custodian: 2, version: 1, frozenBy: null });
    expect((await emr(a, record)).frozenBy).toBeNull();

    const path = `/v1/emrs/${received.receivedRecordId}/queries`;
    const headers = { prefer: 'wait=20, return=representation' };
    const read = await b.call('clinician.b', clinician, 'POST', path, { purpose: 'TREAT' }, headers);
    expect(expectStatus(read, 201).body).toEqual(bundle('one'));
    const identifier = { system: 'urn:hospital-1:mrn', value: '000123' };
    const found = await b.call('clinician.b', clinician, 'POST', '/v1/emrs/_search', { identifier });
    expect(found.body.items.map((item: { id: string }) => item.id)).toEqual([received.receivedRecordId]);
  });

  it('unfreezes when it is rejected, and when it is cancelled', async () => {
    const record = await a.open('clinician.a', '000124', bundle('two'));
    const rejected = await propose(record);
    await until(b, rejected, (body) => body.packageReceived);
    expectStatus(await act(b, rejected, 'rejection', { reason: 'not-our-patient' }), 200);
    expect((await until(a, rejected, done)).state).toBe('rejected');
    expect((await until(b, rejected, done)).receivedRecordId).toBeNull();

    const cancelled = await propose(record);
    await until(a, cancelled, (body) => body.state === 'proposed');
    expectStatus(await act(a, cancelled, 'cancellation', { reason: 'sent-in-error' }), 200);
    expect((await until(a, cancelled, done)).state).toBe('cancelled');
    expect((await until(b, cancelled, done)).state).toBe('cancelled');
    expect((await emr(a, record)).frozenBy).toBeNull();
    const late = await act(b, cancelled, 'rejection', { reason: 'not-needed' });
    expect(expectStatus(late, 403).body).toMatchObject({ code: 'DENIED_BY_LEDGER', reason: 'TRANSFER_STATE' });
  });

  it('answers what can not be, before anything is frozen', async () => {
    const record = await a.open('clinician.a', '000126', bundle('four'));
    const ask = (body: unknown) => a.call('clinician.a', clinician, 'POST', `/v1/emrs/${record}/transfers`, body);
    expect((await ask({ toHospital: 1 })).status).toBe(400);
    expect((await ask({ toHospital: 77 })).status).toBe(400);
    expect((await ask({ toHospital: 2, mode: 'move' })).status).toBe(400);
    expect((await ask({ toHospital: 2, ttlSeconds: 1 })).status).toBe(400);
    expect((await ask({})).status).toBe(400);
    expect((await act(b, `0x${'00'.repeat(32)}`, 'acceptance')).status).toBe(404);
    expect((await emr(a, record)).frozenBy).toBeNull();
  });

  it('is not what a look needs: by a grant, the other hospital reads the record where it is', async () => {
    const record = await a.open('clinician.a', '000127', bundle('five'));
    const offices = ['privacy-officer', 'clinician'];
    await a.register('privacy.a', offices);
    const grant = { hospital: 2, purpose: 'TREAT', consent: { hash: `0x${'11'.repeat(32)}` } };
    expectStatus(await a.call('privacy.a', offices, 'POST', `/v1/emrs/${record}/grants`, grant), 201);
    const path = `/v1/emrs/${record}/queries`;
    await seen(b, record);
    const asked = expectStatus(await b.call('clinician.b', clinician, 'POST', path, { purpose: 'TREAT' }), 201);
    const content = `${asked.headers.get('location')}/content`;
    const read = await b.call('clinician.b', clinician, 'GET', content);
    expect(expectStatus(read, 200).body).toEqual(bundle('five'));
    await a.stopGateway();
    expect((await b.call('clinician.b', clinician, 'GET', content)).status).toBe(502);
    await a.startGateway();
  });

  it('goes on wherever either gateway was stopped', async () => {
    const record = await a.open('clinician.a', '000125', bundle('three'));
    await b.stopGateway();
    const id = await propose(record);
    await a.stopGateway();
    await a.startGateway();
    await until(a, id, (body) => body.step === 'delivering');
    await b.startGateway();
    await until(b, id, (body) => body.packageReceived);
    await a.stopGateway();
    expectStatus(await act(b, id, 'acceptance'), 200);
    await b.stopGateway();
    await a.startGateway();
    await until(a, id, done);
    await b.startGateway();
    const received = await until(b, id, done);
    expect(received.state).toBe('completed');
    expect((await emr(b, received.receivedRecordId)).origin).toBe(id);
  });
});
