import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bundle } from '../../chaos/client/bundle.builder.js';
import { expectStatus, send, type User } from '../../chaos/client/user.js';
import { type E2eHospital, type E2eStack, startHospitals } from './hospitals.js';

let e2e: E2eStack;
let a: E2eHospital;
let b: E2eHospital;
let clinician: User;
let recordId: string;
const content = bundle({ id: 'main-path', kilobytes: 40 });

beforeAll(async () => {
  e2e = await startHospitals();
  ({ a, b } = e2e);
  clinician = a.user('clinician.a');
  recordId = await clinician.open('main-path', content);
});
afterAll(() => e2e?.remove());

describe('open and query', () => {
  test('a query answers with the bytes that were uploaded, and with the event that recorded the look', async () => {
    const answer = expectStatus(await clinician.look(recordId), 201);
    expect(answer.bytes.equals(content)).toBe(true);
    expect(answer.headers.get('content-type')).toContain('application/fhir+json');
    expect(answer.headers.get('cache-control')).toBe('no-store');
    const event = await a.user('auditor.a').get(`/v1/audit/events/${answer.headers.get('x-event-id')}`);
    expect(expectStatus(event, 200).json).toMatchObject({
      ...{ type: 'RecordQueried', recordId, purpose: 'TREAT', hospital: 1, outcome: { code: 'OK' } },
      transactionHash: answer.headers.get('x-transaction-hash'),
    });
  });

  test('a clinician without a relation is refused by the ledger, and the refusal is in the audit trail', async () => {
    const answer = await a.user('clinician.c').look(recordId);
    expect(answer.status).toBe(403);
    expect(answer.headers.get('content-type')).toContain('application/problem+json');
    expect(answer.json).toMatchObject({ code: 'DENIED_BY_LEDGER', reason: 'NO_RELATION' });
    const denied = await a
      .user('auditor.a')
      .until(`/v1/audit/events?recordId=${recordId}&outcome=denied`, ({ json }) => json.items.length > 0);
    expect(denied.json.items[0]).toMatchObject({
      ...{ type: 'AccessDenied', operation: 'QUERY', outcome: { code: 'NO_RELATION' } },
      requestId: answer.json.operation.requestId,
    });
  });

  test('a record nobody opened is not found, without an act', async () => {
    const before = (await a.user('auditor.a').get('/v1/operations')).json.items[0].id;
    expect((await clinician.look(`0x00000001${'ab'.repeat(28)}`)).status).toBe(404);
    expect((await a.user('auditor.a').get('/v1/operations')).json.items[0].id).toBe(before);
  });

  test('the same key gives the same operation, another body is refused, no key too', async () => {
    const key = randomUUID();
    const path = `/v1/emrs/${recordId}/queries`;
    const first = expectStatus(await clinician.post(path, { purpose: 'TREAT' }, { key }), 201);
    const again = expectStatus(await clinician.post(path, { purpose: 'TREAT' }, { key }), 201);
    expect(again.json.id).toBe(first.json.id);
    expect(again.json.event).toBe(first.json.event);
    const other = await clinician.post(path, { purpose: 'HOPERAT' }, { key });
    expect([other.status, other.json.code]).toEqual([422, 'IDEMPOTENCY_MISMATCH']);
    const none = await send('POST', `${a.api}${path}`, await clinician.token(), { body: { purpose: 'TREAT' } });
    expect([none.status, none.json.code]).toEqual([400, 'IDEMPOTENCY_KEY_MISSING']);
  });

  test('one key sent by many at once is one operation', async () => {
    const key = randomUUID();
    const answers = await Promise.all(
      Array.from({ length: 12 }, () => clinician.look(recordId, { key, prefer: 'wait=30' })),
    );
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([201]));
    expect(new Set(answers.map(({ json }) => json.event)).size).toBe(1);
  });

  test('another user with the same key has an operation of their own', async () => {
    const key = randomUUID();
    const mine = expectStatus(await clinician.look(recordId, { key, prefer: 'wait=30' }), 201);
    const theirs = await a.user('clinician.c').look(recordId, { key });
    expect(theirs.json.operation.id).not.toBe(mine.json.id);
  });
});

describe('amending', () => {
  test('needs the present version in If-Match; the new version is what the next query gets', async () => {
    const read = expectStatus(await clinician.get(`/v1/emrs/${recordId}`), 200);
    expect(read.headers.get('etag')).toBe('"v1"');
    const next = bundle({ id: 'main-path', note: 'seen again' });
    const path = `/v1/emrs/${recordId}/versions`;
    const body = { contentId: await clinician.upload(next) };
    const amend = (tag?: string, key?: string) =>
      clinician.post(path, body, { ...(key ? { key } : {}), headers: tag ? { 'if-match': tag } : {} });

    expect(await amend().then(({ status, json }) => [status, json.code])).toEqual([428, 'PRECONDITION_REQUIRED']);
    expect(await amend('"v7"').then(({ status, json }) => [status, json.code])).toEqual([412, 'PRECONDITION_FAILED']);
    const key = randomUUID();
    expectStatus(await amend('"v1"', key), 201);
    expectStatus(await amend('"v1"', key), 201); // a retry of what succeeded is no stale amendment
    expect((await amend('"v1"')).status).toBe(412);

    expect((await clinician.get(`/v1/emrs/${recordId}`)).headers.get('etag')).toBe('"v2"');
    const latest = expectStatus(await clinician.look(recordId), 201);
    expect(latest.bytes.equals(next)).toBe(true);
    const path1 = `/v1/emrs/${recordId}/queries`;
    const first = await clinician.post(
      path1,
      { purpose: 'TREAT', version: 1 },
      { prefer: 'wait=30, return=representation' },
    );
    expect(expectStatus(first, 201).bytes.equals(content)).toBe(true);
  });
});

describe('operations', () => {
  test('a stream tells each state once, in order, and ends at the final one', async () => {
    const accepted = expectStatus(await clinician.look(recordId, { prefer: 'respond-async' }), 202);
    expect(accepted.headers.get('location')).toBe(`/v1/operations/${accepted.json.id}`);
    const response = await fetch(`${a.api}/v1/operations/${accepted.json.id}/stream`, {
      headers: { authorization: `Bearer ${await clinician.token()}`, accept: 'text/event-stream' },
      signal: AbortSignal.timeout(30_000),
    });
    expect(response.headers.get('content-type')).toContain('text/event-stream');
    const events = (await response.text()).split('\n').filter((line) => line.startsWith('data: '));
    const states = events.map((line) => JSON.parse(line.slice('data: '.length)).state);
    expect(states.at(-1)).toBe('confirmed');
    expect(new Set(states).size).toBe(states.length);
    const order = ['accepted', 'signed', 'submitted', 'mined', 'confirmed'];
    expect(states).toEqual(order.filter((state) => states.includes(state)));
  });

  test('are seen by who asked for them, by administrators and by auditors', async () => {
    const { id } = expectStatus(await clinician.look(recordId, { prefer: 'wait=30' }), 201).json;
    expect((await a.user('clinician.c').get(`/v1/operations/${id}`)).status).toBe(404);
    expect((await a.user('auditor.a').get(`/v1/operations/${id}`)).json.state).toBe('confirmed');
  });
});

describe('grants', () => {
  const consent = { hash: `0x${'c0'.repeat(32)}` };

  test('of this hospital open a record to a named clinician until they are revoked', async () => {
    const stranger = a.user('clinician.c');
    const grantee = { actor: (await stranger.get('/v1/me')).json.actor.address };
    const officer = a.user('privacy-officer.a');
    const given = expectStatus(await officer.post(`/v1/emrs/${recordId}/grants`, { grantee, consent }), 201);
    expectStatus(await stranger.look(recordId), 201);
    expectStatus(await officer.post(`/v1/grants/${given.json.requestId}/revocation`, {}), 200);
    expect((await stranger.look(recordId)).json).toMatchObject({ code: 'DENIED_BY_LEDGER' });
  });

  test('to another hospital let its clinician have the content, from here, and nobody before', async () => {
    const own = bundle({ id: 'shared', kilobytes: 20 });
    const shared = await clinician.open('shared', own);
    const other = b.user('clinician.b');
    expect((await other.look(shared)).status).toBe(404);
    const officer = a.user('privacy-officer.a');
    expectStatus(await officer.post(`/v1/emrs/${shared}/grants`, { hospital: 2, purpose: 'TREAT', consent }), 201);
    await other.until(`/v1/emrs/${shared}`, ({ status }) => status === 200);
    const seen = expectStatus(await other.look(shared), 201);
    expect(seen.bytes.equals(own)).toBe(true);
    // Both hospitals' auditors see who looked.
    for (const auditor of [a.user('auditor.a'), b.user('auditor.b')]) {
      const path = `/v1/audit/events?recordId=${shared}&type=RecordQueried&network=global`;
      const { json } = await auditor.until(path, (answer) => answer.json.items.length > 0);
      expect(json.items[0].hospital).toBe(2);
    }
  });
});

describe('transfer', () => {
  test('opens a copy at the other hospital, whose clinician reads the same bytes; the source is free again', async () => {
    const own = bundle({ id: 'moves', kilobytes: 60 });
    const source = await clinician.open('moves', own);
    const proposed = await clinician.post(`/v1/emrs/${source}/transfers`, { toHospital: 2, mode: 'copy' });
    expectStatus(proposed, 201);
    const path = `/v1/transfers/${proposed.json.requestId}`;
    const frozen = await clinician.get(`/v1/emrs/${source}`);
    expect(frozen.json.frozenBy).toBe(proposed.json.requestId);
    const receiver = b.user('clinician.b');
    await receiver.until(path, ({ status, json }) => status === 200 && json.packageReceived);
    expectStatus(await receiver.post(`${path}/acceptance`, {}), 200);
    const done = await receiver.until(path, ({ json }) => json.state === 'completed' && json.receivedRecordId !== null);
    const copy: string = done.json.receivedRecordId;
    expect(copy.slice(0, 10)).toBe('0x00000002');
    await receiver.until(`/v1/emrs/${copy}`, ({ status }) => status === 200);
    expect(expectStatus(await receiver.look(copy), 201).bytes.equals(own)).toBe(true);
    const free = await clinician.until(`/v1/emrs/${source}`, ({ json }) => json.frozenBy === null);
    expect(free.json.custodian).toBe(1);
    expect(expectStatus(await clinician.look(source), 201).bytes.equals(own)).toBe(true);
  });
});

describe('borders', () => {
  test("a token of hospital A opens nothing at hospital B: every route that isn't public answers 401", async () => {
    const document = expectStatus(await send('GET', `${b.api}/openapi.json`, undefined), 200).json;
    const tokens = [await clinician.token(), await a.user('admin.a').token()];
    const open: string[] = [];
    let asked = 0;
    for (const [path, methods] of Object.entries<Record<string, { security?: unknown[] }>>(document.paths)) {
      for (const method of Object.keys(methods)) {
        const url = `${b.api}${path.replace('{address}', `0x${'00'.repeat(20)}`).replaceAll(/\{\w+\}/g, `0x${'00'.repeat(32)}`)}`;
        const anonymous = await send(method.toUpperCase(), url, undefined, { key: 'border' });
        for (const token of tokens) {
          const { status, headers } = await send(method.toUpperCase(), url, token, { key: 'border' });
          if (anonymous.status === 401) {
            asked += 1;
            expect([path, method, status]).toEqual([path, method, 401]);
            expect(headers.get('www-authenticate')).toMatch(/^Bearer/);
          } else open.push(path);
        }
      }
    }
    expect(asked).toBeGreaterThan(60);
    expect([...new Set(open)].sort()).toEqual([
      '/health/live',
      '/health/ready',
      '/v1/auth/jwks.json',
      '/v1/auth/token',
    ]);
  });

  test("users' tokens are refused where gateways talk to each other", async () => {
    const peer = `http://127.0.0.1:${a.layout.ports.peer}`;
    const id = `0x${'00'.repeat(32)}`;
    for (const [method, path] of [
      ['GET', `/peer/v1/transfers/${id}`],
      ['GET', `/peer/v1/transfers/${id}/package`],
      ['POST', `/peer/v1/transfers/${id}/package`],
      ['POST', `/peer/v1/queries/${id}/content`],
      ['GET', '/v1/me'],
    ] as const) {
      for (const token of [await a.user('admin.a').token(), await b.user('clinician.b').token(), undefined]) {
        const { status } = await send(method, `${peer}${path}`, token);
        expect([path, status]).toEqual([path, 401]);
      }
    }
  });
});

describe('audit', () => {
  test('is whole at both hospitals: no gap, every event counted, nothing stopped', async () => {
    for (const auditor of [a.user('auditor.a'), b.user('auditor.b')]) {
      const { json } = expectStatus(await auditor.get('/v1/audit/integrity'), 200);
      expect(json.networks.map(({ network }: { network: string }) => network).sort()).toEqual(['global', 'local']);
      for (const network of json.networks) {
        expect(network).toMatchObject({ gaps: [], stopped: null, reorganisations: 0 });
        expect(network.events).toBe(network.sequence);
        expect(Number(network.sequence)).toBeGreaterThan(0);
      }
    }
  });

  test('lists page by page without losing or repeating an event', async () => {
    const auditor = a.user('auditor.a');
    const seen: string[] = [];
    for (let path: string | undefined = '/v1/audit/events?network=local&limit=7'; path; ) {
      const { json, headers } = expectStatus(await auditor.get(path), 200);
      seen.push(...json.items.map(({ sequence }: { sequence: string }) => sequence));
      path = /<([^>]+)>; rel="next"/.exec(headers.get('link') ?? '')?.[1];
    }
    const sorted = seen.map(Number).sort((x, y) => x - y);
    expect(sorted).toEqual(Array.from({ length: sorted.length }, (_, index) => index + 1));
  });
});
