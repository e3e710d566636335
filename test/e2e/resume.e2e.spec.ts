import { afterAll, beforeAll, expect, test } from 'vitest';
import { bundle } from '../../chaos/client/bundle.builder.js';
import { type Answer, expectStatus } from '../../chaos/client/user.js';
import { type E2eHospital, type E2eStack, startHospitals } from './hospitals.js';

/** Both hospitals stopped and started again on the same state folder. (That the demo resumes is start.e2e.spec.ts's.) */
let e2e: E2eStack;
let before: unknown[];
let own: { recordId: string; bytes: Buffer; query: Answer; refused: Answer; grant: Answer };
const consent = { hash: `0x${'c1'.repeat(32)}` };

/** Every event that the auditors of both hospitals see, on both tiers. */
async function history(): Promise<unknown[]> {
  const readers: [E2eHospital, string][] = [
    [e2e.a, 'auditor.a'],
    [e2e.b, 'auditor.b'],
  ];
  return Promise.all(
    readers.flatMap(([hospital, auditor]) =>
      ['local', 'global'].map(async (network) => {
        const answer = await hospital.user(auditor).get(`/v1/audit/events?network=${network}&limit=200`);
        return expectStatus(answer, 200).json.items;
      }),
    ),
  );
}

const look = (name: string, key: string, prefer = 'wait=30') => e2e.a.user(name).look(own.recordId, { key, prefer });
const grant = (key: string) =>
  e2e.a.user('privacy-officer.a').post(`/v1/emrs/${own.recordId}/grants`, { hospital: 2, consent }, { key });

beforeAll(async () => {
  e2e = await startHospitals();
  const bytes = bundle({ id: 'resume', kilobytes: 30 });
  own = { bytes, recordId: await e2e.a.user('clinician.a').open('resume', bytes) } as typeof own;
  own.query = expectStatus(await look('clinician.a', 'before'), 201);
  own.refused = expectStatus(await look('clinician.c', 'before'), 403);
  own.grant = expectStatus(await grant('before'), 201);
  // The other hospital's mirror is final a moment later.
  await e2e.b.user('clinician.b').until(`/v1/emrs/${own.recordId}`, ({ status }) => status === 200);
  before = await history();
  await e2e.stop();
  await e2e.restart();
}, 400_000);
afterAll(() => e2e?.remove());

test('every event is where it was, at both hospitals, and the audit is whole', async () => {
  expect(await history()).toEqual(before);
  for (const auditor of [e2e.a.user('auditor.a'), e2e.b.user('auditor.b')]) {
    const { json } = expectStatus(await auditor.get('/v1/audit/integrity'), 200);
    for (const network of json.networks) expect(network).toMatchObject({ gaps: [], stopped: null });
  }
});

test('acts of before are known by their keys and not done again', async () => {
  const query = expectStatus(await look('clinician.a', 'before'), 201);
  expect([query.json.id, query.json.event]).toEqual([own.query.json.id, own.query.json.event]);
  const refused = expectStatus(await look('clinician.c', 'before'), 403);
  expect(refused.json.operation.event).toBe(own.refused.json.operation.event);
  const given = expectStatus(await grant('before'), 201);
  expect(given.json.event).toBe(own.grant.json.event);
  expect(await history()).toEqual(before);
});

test('content is given back, here and at the other hospital', async () => {
  const here = await look('clinician.a', 'after', 'wait=30, return=representation');
  expect(expectStatus(here, 201).bytes.equals(own.bytes)).toBe(true);
  const there = await e2e.b.user('clinician.b').look(own.recordId);
  expect(expectStatus(there, 201).bytes.equals(own.bytes)).toBe(true);
});

test('new acts are carried', async () => {
  const recordId = await e2e.a.user('clinician.a').open('resume-2', own.bytes);
  expectStatus(await e2e.a.user('clinician.a').look(recordId), 201);
});
