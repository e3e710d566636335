import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type DemoReport, runDemo } from '../../deploy/local/demo/demo.js';
import { bundle } from './bundle.builder.js';
import { type E2eHospital, type E2eStack, startHospitals } from './hospitals.js';
import { type Answer, expectStatus } from './user.js';

/** What `npm start` does twice: load the sample data, stop, go on from there. */
let e2e: E2eStack;
let first: DemoReport;
let before: Answer[];
let own: { recordId: string; bytes: Buffer; query: string; answer: Answer };
const quiet = { info: () => {}, warn: () => {} };

const history = ({ a, b }: E2eStack) => {
  const readers: [E2eHospital, string][] = [
    [a, 'auditor.a'],
    [b, 'auditor.b'],
  ];
  return Promise.all(
    readers.map(async ([hospital, auditor]) =>
      expectStatus(await hospital.user(auditor).get('/v1/audit/events?network=local&limit=200'), 200),
    ),
  );
};

beforeAll(async () => {
  e2e = await startHospitals({ introduced: false });
  first = await runDemo(e2e.stack, quiet, new AbortController().signal);
  const clinician = e2e.a.user('clinician.a');
  const bytes = bundle({ id: 'resume', kilobytes: 30 });
  const recordId = await clinician.open('resume', bytes);
  const query = 'resume-query';
  const answer = expectStatus(await clinician.look(recordId, { key: query, prefer: 'wait=30' }), 201);
  own = { recordId, bytes, query, answer };
  before = await history(e2e);
  await e2e.stop();
}, 400_000);
afterAll(() => e2e?.remove());

describe('a first start', () => {
  test('did the whole demo', () => {
    expect(first).toMatchObject({ resumed: false, opened: 16, queried: 18, transferred: 2 });
    expect(first.refusal).toMatch(/^ev_local_\d+$/);
  });
});

describe('a second start on the same state folder', () => {
  beforeAll(() => e2e.restart(), 200_000);

  test('finds every event where it was', async () => {
    const after = await history(e2e);
    for (const [index, { json }] of after.entries()) expect(json.items).toEqual(before[index]?.json.items);
    const { json } = await e2e.a.user('auditor.a').get('/v1/audit/integrity');
    for (const network of json.networks) expect(network).toMatchObject({ gaps: [], stoppedReason: null });
  });

  test('gives content back, and knows the acts of the first', async () => {
    const clinician = e2e.a.user('clinician.a');
    const again = await clinician.look(own.recordId, { key: own.query, prefer: 'wait=30' });
    expect(expectStatus(again, 201).json.id).toBe(own.answer.json.id);
    expect(again.json.event).toBe(own.answer.json.event);
    expect(expectStatus(await clinician.look(own.recordId), 201).bytes.equals(own.bytes)).toBe(true);
  });

  test('does the demo again without doing anything twice', async () => {
    const count = async () => {
      const { json } = await e2e.a.user('auditor.a').get('/v1/audit/integrity');
      return json.networks.map(({ network, events }: { network: string; events: string }) => [network, events]);
    };
    const events = await count();
    const again = await runDemo(e2e.stack, quiet, new AbortController().signal);
    expect(again).toMatchObject({ resumed: true, refusal: first.refusal });
    expect(await count()).toEqual(events);
  });

  test('takes new acts, on both tiers', async () => {
    const clinician = e2e.a.user('clinician.a');
    const recordId = await clinician.open('resume-2', own.bytes);
    const consent = { hash: `0x${'c1'.repeat(32)}` };
    const officer = e2e.a.user('privacy-officer.a');
    expectStatus(await officer.post(`/v1/emrs/${recordId}/grants`, { hospital: 2, consent }), 201);
  });
});
