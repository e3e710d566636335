import { afterAll, beforeAll, expect, it } from 'vitest';
import { expectStatus, type Hospital, type Hospitals, startHospitals } from '../../../../test/hospitals/hospitals.js';

let hospitals: Hospitals;

beforeAll(async () => {
  hospitals = await startHospitals({ single: true });
});
afterAll(() => hospitals?.close());

it('a transfer works where one ledger is local and global to both hospitals', async () => {
  const { a, b } = hospitals;
  const officer = ['records-officer'];
  await a.register('clinician.a', ['clinician']);
  await a.register('officer.a', officer);
  await b.register('officer.b', officer);
  const record = await a.open('clinician.a', '000123', { resourceType: 'Bundle' });
  const proposed = await a.call('officer.a', officer, 'POST', `/v1/emrs/${record}/transfers`, { toHospital: 2 });
  const path = expectStatus(proposed, 201).headers.get('location')!;
  const until = async (hospital: Hospital, subject: string, wanted: (body: { [name: string]: unknown }) => boolean) => {
    for (let count = 0; count < 300; count++) {
      const { status, body } = await hospital.call(subject, officer, 'GET', path);
      if (status === 200 && wanted(body)) return body;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    throw new Error('the transfer stands still');
  };
  await until(b, 'officer.b', (body) => body.packageReceived === true);
  expectStatus(await b.call('officer.b', officer, 'POST', `${path}/acceptance`), 200);
  const received = await until(b, 'officer.b', (body) => body.step === 'done');
  const sent = await until(a, 'officer.a', (body) => body.step === 'done');
  expect([received.state, sent.state]).toEqual(['completed', 'completed']);
  const copy = await b.call('officer.b', officer, 'GET', `/v1/emrs/${received.receivedRecordId}`);
  expect(copy.body).toMatchObject({ custodian: 2, origin: received.id });
  const source = await a.call('officer.a', officer, 'GET', `/v1/emrs/${record}`);
  expect(source.body.frozenBy).toBeNull();
});
