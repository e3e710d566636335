import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  type Answer,
  expectStatus,
  type Hospital,
  type Hospitals,
  startHospitals,
} from '../../../../test/hospitals/hospitals.js';

const clinician = ['clinician'];
const privacy = ['privacy-officer'];
const officer = ['records-officer'];
const patient = ['patient'];
const bundle = (id: string) => ({ resourceType: 'Bundle', type: 'collection', id });
const content = { prefer: 'wait=20, return=representation' };

let hospitals: Hospitals;
let a: Hospital;
let b: Hospital;
const actors: Record<string, string> = {};

beforeAll(async () => {
  hospitals = await startHospitals();
  ({ a, b } = hospitals);
  await a.register('clinician.a', clinician);
  await a.register('clinician.b', clinician);
  await a.register('privacy.a', privacy);
  await a.register('officer.a', officer);
  await b.register('clinician.c', clinician);
  for (const [hospital, subject] of [
    [a, 'clinician.a'],
    [a, 'clinician.b'],
    [b, 'clinician.c'],
  ] as const) {
    const me = await hospital.call(subject, clinician, 'GET', '/v1/me');
    actors[subject] = me.body.actor.address;
  }
});
afterAll(() => hospitals?.close());

function ask(
  hospital: Hospital,
  subject: string,
  record: string,
  over: object = {},
  roles = clinician,
): Promise<Answer> {
  return hospital.call(subject, roles, 'POST', `/v1/emrs/${record}/queries`, { purpose: 'TREAT', ...over }, content);
}

async function upload(hospital: Hospital, subject: string, resource: unknown, roles = clinician): Promise<string> {
  const bytes = Buffer.from(JSON.stringify(resource));
  return expectStatus(await hospital.call(subject, roles, 'POST', '/v1/contents', bytes), 201).body.contentId;
}

describe('a record', () => {
  it('is opened, looked at and found by its opener', async () => {
    const record = await a.open('clinician.a', 'MRN-1', bundle('one'));
    const read = await ask(a, 'clinician.a', record);
    expect(expectStatus(read, 201).body).toEqual(bundle('one'));
    expect(read.headers.get('content-type')).toBe('application/fhir+json');
    expect(read.headers.get('x-transaction-hash')).toMatch(/^0x[0-9a-f]{64}$/);
    expect(read.headers.get('x-event-id')).toMatch(/^ev_local_\d+$/);
    const query = await a.call('clinician.a', clinician, 'GET', read.headers.get('location')!);
    expect(query.body).toMatchObject({
      state: 'confirmed',
      recordId: record,
      version: 1,
      event: read.headers.get('x-event-id'),
    });
    const again = await a.call('clinician.a', clinician, 'GET', query.body.links.content);
    expect(expectStatus(again, 200).body).toEqual(bundle('one'));
    expectStatus(await a.call('clinician.b', clinician, 'GET', query.body.links.content), 404);

    const one = await a.call('clinician.a', clinician, 'GET', `/v1/emrs/${record}`);
    expect(one.body).toMatchObject({ id: record, version: 1, custodian: 1, status: 'open', network: 'local' });
    expect(one.headers.get('etag')).toBe('"v1"');
    const identifier = { system: 'urn:hospital-1:mrn', value: 'MRN-1' };
    const found = await a.call('clinician.a', clinician, 'POST', '/v1/emrs/_search', { identifier });
    expect(found.body.items).toHaveLength(1);
    const others = await a.call('clinician.b', clinician, 'POST', '/v1/emrs/_search', { identifier });
    expect(others.body.items).toEqual([]);
  });

  it('is refused by the ledger, on record, to whom it does not concern', async () => {
    const record = await a.open('clinician.a', 'MRN-2', bundle('two'));
    const refused = expectStatus(await ask(a, 'clinician.b', record), 403);
    expect(refused.body).toMatchObject({ code: 'DENIED_BY_LEDGER', reason: 'NO_RELATION' });
    const { event } = refused.body.operation;
    const audited = await a.call('auditor.a', ['auditor'], 'GET', `/v1/audit/events/${event}`);
    expect(audited.body).toMatchObject({
      type: 'AccessDenied',
      outcome: { code: 'NO_RELATION' },
      actor: actors['clinician.b'],
      recordId: record,
    });
    expectStatus(await ask(a, 'clinician.b', `0x${'00'.repeat(32)}`), 404);
    expectStatus(await a.call('clinician.b', clinician, 'GET', `/v1/emrs/${record}`), 404);
  });

  it('is amended only on top of its latest version', async () => {
    const record = await a.open('clinician.a', 'MRN-3', bundle('three'));
    const contentId = await upload(a, 'clinician.a', bundle('three, amended'));
    const amend = (subject: string, headers: object, id = contentId) =>
      a.call(subject, clinician, 'POST', `/v1/emrs/${record}/versions`, { contentId: id }, headers);
    expectStatus(await amend('clinician.a', {}), 428);
    expectStatus(await amend('clinician.a', { 'if-match': '"v2"' }), 412);
    expectStatus(await amend('clinician.a', { 'if-match': '"v1"' }), 201);
    expectStatus(await amend('clinician.a', { 'if-match': '"v1"' }), 412);
    expect((await ask(a, 'clinician.a', record)).body).toEqual(bundle('three, amended'));
    expect((await ask(a, 'clinician.a', record, { version: 1 })).body).toEqual(bundle('three'));
    const stale = expectStatus(await ask(a, 'clinician.a', record, { version: 3 }), 403);
    expect(stale.body.reason).toBe('VERSION_STALE');

    const foreign = await upload(a, 'clinician.b', bundle('not theirs to amend'));
    const denied = await amend('clinician.b', { 'if-match': '"v2"' }, foreign);
    expect(expectStatus(denied, 403).body.reason).toBe('NO_RELATION');
  });

  it('is closed and reopened by a records officer', async () => {
    const record = await a.open('clinician.a', 'MRN-4', bundle('four'));
    const path = (what: string) => `/v1/emrs/${record}/${what}`;
    const denied = await a.call('clinician.a', clinician, 'POST', path('closure'), { reason: 'other' });
    expect(expectStatus(denied, 403).body.reason).toBe('ROLE_MISSING');
    expectStatus(await a.call('officer.a', officer, 'POST', path('closure'), { reason: 'patient-moved' }), 200);
    const contentId = await upload(a, 'clinician.a', bundle('late'));
    const late = await a.call(
      'clinician.a',
      clinician,
      'POST',
      path('versions'),
      { contentId },
      { 'if-match': '"v1"' },
    );
    expect(expectStatus(late, 403).body.reason).toBe('RECORD_CLOSED');
    expectStatus(await a.call('officer.a', officer, 'POST', path('reopening'), { reason: 'closed-in-error' }), 200);
  });

  it('of a level that is not there yet, or of no known content, is refused before the ledger', async () => {
    const open = (over: object) =>
      a.call('clinician.a', clinician, 'POST', '/v1/emrs', { patient: { identifier: { value: 'x' } }, ...over });
    const contentId = await upload(a, 'clinician.a', bundle('x'));
    const level = expectStatus(await open({ contentId, securityLevel: 2 }), 400);
    expect(level.body.errors[0]).toMatchObject({ pointer: '/securityLevel' });
    expectStatus(await open({ contentId: `ct_${'00'.repeat(16)}` }), 400);
    expectStatus(await open({ contentId, more: 1 }), 400);
  });

  it('answers a retried open with the same operation, and another body under its key with 422', async () => {
    const body = {
      patient: { identifier: { value: 'MRN-5' } },
      contentId: await upload(a, 'clinician.a', bundle('five')),
    };
    const open = (over: object = {}) =>
      a.call('clinician.a', clinician, 'POST', '/v1/emrs', { ...body, ...over }, { 'idempotency-key': 'open-five' });
    const [first, second] = [expectStatus(await open(), 201), expectStatus(await open(), 201)];
    expect(second.body.id).toBe(first.body.id);
    expectStatus(await open({ securityLevel: 0 }), 422);
  });
});

describe('a care relation', () => {
  it('opens a record to a colleague until it ends', async () => {
    const record = await a.open('clinician.a', 'MRN-6', bundle('six'));
    const relate = (subject: string) =>
      a.call(subject, clinician, 'POST', `/v1/emrs/${record}/relations`, { party: { actor: actors['clinician.b'] } });
    expect(expectStatus(await relate('clinician.b'), 403).body.reason).toBe('NO_RELATION');
    const given = expectStatus(await relate('clinician.a'), 201);
    const location = given.headers.get('location')!;
    expect((await a.call('clinician.b', clinician, 'GET', location)).body).toMatchObject({
      state: 'active',
      until: null,
    });
    const read = expectStatus(await ask(a, 'clinician.b', record), 201);
    const listed = await a.call('clinician.b', clinician, 'GET', '/v1/emrs?limit=200');
    expect(listed.body.items.map((item: { id: string }) => item.id)).toContain(record);
    expectStatus(await a.call('clinician.a', clinician, 'POST', `${location}/ending`), 200);
    expectStatus(await a.call('clinician.b', clinician, 'GET', `${read.headers.get('location')}/content`), 403);
    expectStatus(await ask(a, 'clinician.b', record), 403);
    expectStatus(await a.call('clinician.a', clinician, 'POST', `/v1/relations/0x${'00'.repeat(32)}/ending`), 404);
  });
});

describe('a grant', () => {
  it('opens a record within the hospital, with consent, until it is revoked', async () => {
    const record = await a.open('clinician.a', 'MRN-7', bundle('seven'));
    const grant = (over: object) =>
      a.call('privacy.a', privacy, 'POST', `/v1/emrs/${record}/grants`, {
        grantee: { actor: actors['clinician.b'] },
        purpose: 'TREAT',
        ...over,
      });
    expect(expectStatus(await grant({}), 403).body.reason).toBe('CONSENT_MISSING');
    const contentId = await upload(a, 'privacy.a', { resourceType: 'Consent' }, privacy);
    const given = expectStatus(await grant({ consent: { contentId } }), 201);
    const location = given.headers.get('location')!;
    expectStatus(await ask(a, 'clinician.b', record), 201);
    expect(expectStatus(await ask(a, 'clinician.b', record, { purpose: 'HRESCH' }), 403).body.reason).toBe(
      'NO_RELATION',
    );
    const named = { basis: { grantId: location.split('/').at(-1) }, purpose: 'HRESCH' };
    expect(expectStatus(await ask(a, 'clinician.b', record, named), 403).body.reason).toBe('GRANT_INACTIVE');
    const listed = await a.call('privacy.a', privacy, 'GET', `/v1/emrs/${record}/grants`);
    expect(listed.body.items).toMatchObject([{ state: 'active', purpose: 'TREAT', hospital: 1 }]);
    expectStatus(await a.call('privacy.a', privacy, 'POST', `${location}/revocation`, {}), 200);
    expectStatus(await ask(a, 'clinician.b', record), 403);
    expect((await a.call('privacy.a', privacy, 'GET', location)).body.state).toBe('revoked');
  });

  it('is given and taken back by the patient', async () => {
    const record = await a.open('clinician.a', 'MRN-8', bundle('eight'));
    const grant = () =>
      a.call('patient.a', patient, 'POST', `/v1/emrs/${record}/grants`, { grantee: { actor: actors['clinician.b'] } });
    expectStatus(await grant(), 403);
    const link = { subject: 'patient.a' };
    expectStatus(await a.call('officer.a', officer, 'POST', `/v1/emrs/${record}/subject-account`, link), 204);
    const given = expectStatus(await grant(), 201);
    expectStatus(await ask(a, 'clinician.b', record), 201);
    expect(expectStatus(await ask(a, 'patient.a', record, { purpose: 'PATRQT' }, patient), 201).body).toEqual(
      bundle('eight'),
    );
    const seen = await a.call('patient.a', patient, 'GET', '/v1/audit/events?type=RecordQueried');
    expect(seen.body.items.map((item: { recordId: string }) => item.recordId)).toEqual([record, record]);
    const revocation = `${given.headers.get('location')}/revocation`;
    expectStatus(await a.call('patient.a', patient, 'POST', revocation, {}), 200);
    expectStatus(await ask(a, 'clinician.b', record), 403);
  });

  it('opens a record to another hospital over the global ledger', async () => {
    const record = await a.open('clinician.a', 'MRN-9', bundle('nine'));
    const contentId = await upload(a, 'clinician.a', bundle('nine, amended'));
    const amended = { 'if-match': '"v1"' };
    expectStatus(
      await a.call('clinician.a', clinician, 'POST', `/v1/emrs/${record}/versions`, { contentId }, amended),
      201,
    );
    expectStatus(await ask(b, 'clinician.c', record), 404);
    // Who may not give it is refused where the record is: nothing is published in its author's name for that.
    for (const [subject, roles, over] of [
      ['clinician.b', clinician, { consent: { hash: `0x${'11'.repeat(32)}` } }],
      ['privacy.a', privacy, {}],
    ] as const) {
      const refused = await a.call(subject, [...roles], 'POST', `/v1/emrs/${record}/grants`, { hospital: 2, ...over });
      expect(expectStatus(refused, 403).body.operation.network).toBe('local');
    }
    const published = `/v1/audit/events?recordId=${record}&network=global`;
    expect((await a.call('auditor.a', ['auditor'], 'GET', published)).body.items).toEqual([]);
    const consent = { contentId: await upload(a, 'privacy.a', { resourceType: 'Consent' }, privacy) };
    const given = await a.call('privacy.a', privacy, 'POST', `/v1/emrs/${record}/grants`, { hospital: 2, consent });
    expect(expectStatus(given, 201).body.network).toBe('global');
    const read = await until(() => ask(b, 'clinician.c', record), 201);
    expect(read.body).toEqual(bundle('nine, amended'));
    expect(read.headers.get('x-event-id')).toMatch(/^ev_global_/);
    expect((await ask(b, 'clinician.c', record, { version: 1 })).body).toEqual(bundle('nine'));
    const revocation = `${given.headers.get('location')}/revocation`;
    expectStatus(await a.call('privacy.a', privacy, 'POST', revocation, {}), 200);
    await until(() => ask(b, 'clinician.c', record), 403);
  });
});

/** The other hospital's mirror follows on its own: asks again until it has caught up. */
async function until(act: () => Promise<Answer>, status: number): Promise<Answer> {
  let last: Answer | undefined;
  for (let count = 0; count < 100; count++) {
    last = await act();
    if (last.status === status) return last;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return expectStatus(last!, status);
}
