import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { faultInAccessLog } from '../../libs/proof/src/access-log.js';
import { type DocumentedRead, documentedReads, exampleBody, filledPath, unknownLike } from './documented-reads.js';
import { type Answer, expectStatus, type Hospital, type Hospitals, startHospitals } from './hospitals.js';
import { ask, done, type Person, propose, see, until } from './transfers.js';

/** Nobody looks without a trace, and a patient sees every one: over HTTP, real ledgers, two hospitals. */

const clinician = ['clinician'];
const identifier = { system: 'urn:hospital-1:mrn', value: 'KANARI-0815' };
const content = { prefer: 'wait=20, return=representation' };
/** What shows nothing but the caller's own token. Whatever else is read leaves an entry. */
const UNLOGGED = ['get /v1/me'];

let hospitals: Hospitals;
let a: Hospital;
let b: Hospital;
let sql: pg.Client;
/** Every route that shows something, as the document has it. */
let reads: DocumentedRead[];
/** Something to look at behind each parameter of a path. */
const samples: Record<string, string> = {};
let record: string;
let other: string;

const people: Record<string, Person> = {};
const person = (at: Hospital, name: string, roles: string[]): Person => ({ at, name, roles });
const read = ({ at, name, roles }: Person, path: string) => at.call(name, roles, 'GET', path);

beforeAll(async () => {
  hospitals = await startHospitals();
  ({ a, b } = hospitals);
  sql = new pg.Client({ connectionString: a.database.superuserUrl });
  await sql.connect();
  Object.assign(people, {
    clinician: person(a, 'clinician.a', clinician),
    stranger: person(a, 'clinician.b', clinician),
    'privacy-officer': person(a, 'privacy.a', ['privacy-officer']),
    'records-officer': person(a, 'records.a', ['records-officer']),
    auditor: person(a, 'auditor.a', ['auditor']),
    admin: person(a, 'admin.x', ['admin']),
    patient: person(a, 'patient.a', ['patient']),
    'other patient': person(a, 'patient.b', ['patient']),
    foreign: person(b, 'clinician.c', clinician),
  });
  for (const who of ['clinician', 'stranger', 'privacy-officer', 'records-officer', 'foreign'] as const)
    await people[who]!.at.register(people[who]!.name, people[who]!.roles);
  await live();
  reads = await documentedReads(a.url);
});
afterAll(async () => {
  await sql?.end();
  await hospitals?.close();
});

/** Everything that may be looked at, and everybody who may look. */
async function live(): Promise<void> {
  const { patient, stranger, foreign } = people as Record<string, Person>;
  record = await a.open('clinician.a', identifier.value, {
    resourceType: 'Patient',
    name: [{ family: 'Zwitschervogel' }],
  });
  other = await a.open('clinician.a', 'ANOTHER', { resourceType: 'Patient' });
  for (const [of, subject] of [
    [record, 'patient.a'],
    [other, 'patient.b'],
  ]) {
    expectStatus(await ask(people['records-officer']!, `/v1/emrs/${of}/subject-account`, { subject }), 204);
  }
  const queries = `/v1/emrs/${record}/queries`;
  const looked = expectStatus(await ask(people.clinician!, queries, { purpose: 'TREAT' }, content), 201);
  samples['/v1/queries/{id}'] = looked.headers.get('location')!.split('/').pop()!;
  samples['/v1/operations/{id}'] = looked.headers.get('x-operation-id')!;
  samples['/v1/audit/events/{id}'] = looked.headers.get('x-event-id')!;
  expectStatus(await ask(people.clinician!, queries, { purpose: 'HRESCH' }, content), 201);
  expectStatus(await ask(stranger!, queries, { purpose: 'TREAT' }, content), 403);
  expectStatus(await ask(patient!, queries, { purpose: 'PATRQT' }, content), 201);

  const consent = Buffer.from(JSON.stringify({ resourceType: 'Consent' }));
  const { contentId } = (await ask(people['privacy-officer']!, '/v1/contents', consent)).body;
  const granted = await ask(people['privacy-officer']!, `/v1/emrs/${record}/grants`, {
    hospital: 2,
    consent: { contentId },
  });
  samples['/v1/grants/{id}'] = idIn(granted);
  // The other hospital's mirror may be a moment behind: no such record, as far as it knows.
  for (let count = 0; count < 200; count++) {
    const { status } = await ask(foreign!, queries, { purpose: 'TREAT' }, content);
    if (status === 201) break;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  const path = await propose(people.clinician!, record, { reason: 'relocation' });
  samples['/v1/transfers/{id}'] = path.split('/').pop()!;
  await until(foreign!, path, ({ packageReceived }) => packageReceived);
  expectStatus(await ask(foreign!, `${path}/acceptance`), 200);
  await until(foreign!, path, done);
  await until(people.clinician!, path, done);

  const address = (await see(stranger!, '/v1/me')).actor.address;
  samples['/v1/admin/actors/{address}'] = address;
  samples['/v1/admin/teams/{team}'] = address;
  const related = await ask(people.clinician!, `/v1/emrs/${other}/relations`, { party: { actor: address } });
  samples['/v1/relations/{id}'] = idIn(related);
  samples['/v1/emrs/{id}'] = record;
  samples['/v1/audit/exports/{id}'] = idIn(await ask(people.auditor!, '/v1/audit/exports', { format: 'ndjson' }));
  const { rows } = await sql.query('SELECT signer_id, nonce FROM gateway.transaction LIMIT 1');
  samples['/v1/admin/signers/{id}'] = String(rows[0].signer_id);
  samples['/v1/admin/signers/{id}/transactions/{nonce}'] = String(rows[0].nonce);
}

function idIn(answer: Answer): string {
  return expectStatus(answer, 201).headers.get('location')!.split('/').pop()!;
}

/** As somebody who may. @param change of the sample behind each parameter of its path */
function call(route: DocumentedRead, change?: (sample: string) => string): Promise<Answer> {
  const { roles } = route;
  const { at, name, roles: own } = people[typeof roles === 'string' ? 'clinician' : roles[0]!]!;
  return at.call(name, own, route.method.toUpperCase(), filledPath(route, samples, change), exampleBody(route));
}

const newest = async () => (await sql.query('SELECT coalesce(max(id), 0) AS id FROM gateway.access_log')).rows[0].id;

describe('every route that shows something', () => {
  it('says which entry it leaves in the access log, but for those that show the caller alone', () => {
    expect(reads.length).toBeGreaterThan(30);
    const silent = reads.filter(({ look }) => look === undefined).map(({ name }) => name);
    expect(silent).toEqual(UNLOGGED);
  });

  it('has left it, under who looked, once its answer is here', async () => {
    const missing: string[] = [];
    for (const route of reads.filter(({ name }) => !UNLOGGED.includes(name))) {
      const before = await newest();
      const answer = await call(route);
      expect(answer.status, `${route.name} ${answer.text}`).toBeLessThan(300);
      const { rows } = await sql.query('SELECT kind FROM gateway.access_log WHERE id > $1', [before]);
      if (!rows.some(({ kind }) => kind === route.look)) missing.push(route.name);
    }
    expect(missing).toEqual([]);
  });

  it('leaves one too when there is nothing to see', async () => {
    const found: string[] = [];
    let tried = 0;
    for (const route of reads.filter(({ path }) => path.includes('{'))) {
      const before = await newest();
      const { status } = await call(route, unknownLike);
      // A list of nobody's is empty.
      if (status === 200) continue;
      expect(status, route.name).toBe(404);
      tried += 1;
      const { rows } = await sql.query('SELECT kind, detail FROM gateway.access_log WHERE id > $1', [before]);
      const kind = route.look === 'release' ? 'query' : route.look;
      if (!rows.some((row) => row.kind === kind && row.detail.refused === true)) found.push(route.name);
    }
    expect(found).toEqual([]);
    expect(tried).toBeGreaterThan(15);
  });

  it('answers nothing when it can leave no entry', async () => {
    const complaints = vi.spyOn(console, 'error').mockImplementation(() => undefined);
    await sql.query('REVOKE INSERT ON gateway.access_log FROM emr_gateway');
    try {
      const answered: string[] = [];
      for (const route of reads.filter(({ name }) => !UNLOGGED.includes(name))) {
        const { status } = await call(route);
        if (status < 500) answered.push(`${route.name} ${status}`);
      }
      expect(answered).toEqual([]);
      const queried = await ask(people.clinician!, `/v1/emrs/${record}/queries`, { purpose: 'TREAT' }, content);
      expect(queried.status).toBeGreaterThanOrEqual(500);
      expect(queried.text).not.toContain('Zwitschervogel');
    } finally {
      await sql.query(
        'GRANT INSERT (principal, actor, kind, record_id, request_id, detail) ON gateway.access_log TO emr_gateway',
      );
      complaints.mockRestore();
    }
  });
});

describe('who looked at a record', () => {
  const accesses = async (who: Person, query = '') => read(who, `/v1/emrs/${record}/accesses${query}`);

  it('is told to its patient: requests, refusals and releases, here and from elsewhere', async () => {
    const { items } = expectStatus(await accesses(people.patient!, '?limit=200'), 200).body;
    const found = (wanted: object) => items.filter((item: object) => matches(item, wanted));
    const here = { number: 1, name: 'hospital-1' };
    const there = { number: 2, name: null };
    expect(
      found({ kind: 'access-request', purpose: 'TREAT', version: 1, outcome: { code: 'OK' }, hospital: here }).length,
    ).toBeGreaterThan(0);
    expect(found({ kind: 'access-request', outcome: { code: 'NO_RELATION' } })).toHaveLength(1);
    expect(found({ kind: 'release', purpose: 'HRESCH', who: { roles: ['clinician'], self: false } })).toHaveLength(1);
    expect(found({ kind: 'release', purpose: 'PATRQT', who: { roles: ['patient'], self: true } })).toHaveLength(1);
    expect(found({ kind: 'access-request', outcome: { code: 'OK' }, hospital: there })).toHaveLength(1);
    expect(found({ kind: 'release-to-hospital', hospital: there }).length).toBeGreaterThan(0);
    expect(found({ kind: 'transfer-package' }).length).toBeGreaterThan(0);
    expect(found({ kind: 'account-link' })).toHaveLength(1);
    const times = items.map(({ time }: { time: string }) => time);
    expect(times).toEqual([...times].sort().reverse());
    // A release follows a request, by the same person.
    const [research] = found({ kind: 'release', purpose: 'HRESCH' });
    expect(found({ kind: 'access-request', query: research.query, who: research.who })).toHaveLength(1);
  });

  it('comes page by page in the same order, without gap or repeat', async () => {
    const ids = async (limit: number) => {
      const all: string[] = [];
      // Not this reading itself, which adds to the list.
      const to = encodeURIComponent(new Date(started).toISOString());
      let path: string | undefined = `/v1/emrs/${record}/accesses?limit=${limit}&to=${to}`;
      while (path) {
        const answer: Answer = expectStatus(await read(people.patient!, path), 200);
        all.push(...answer.body.items.map(({ id }: { id: string }) => id));
        path = /<([^>]+)>/.exec(answer.headers.get('link') ?? '')?.[1];
      }
      return all;
    };
    const started = Date.now();
    const whole = await ids(200);
    expect(whole.length).toBeGreaterThan(10);
    expect(new Set(whole).size).toBe(whole.length);
    for (const limit of [1, 3, 7]) expect(await ids(limit)).toEqual(whole);
  });

  it('names no member of staff, and gives each an id that another patient sees another of', async () => {
    const answer = await accesses(people.patient!, '?limit=200');
    for (const name of ['clinician.a', 'clinician.b', 'records.a']) expect(answer.text).not.toContain(name);
    const clinicianId = (answer: Answer) =>
      answer.body.items.find((item: object) => matches(item, { who: { roles: ['clinician'] } })).who.id;
    expect(
      expectStatus(await ask(people.clinician!, `/v1/emrs/${other}/queries`, { purpose: 'TREAT' }, content), 201),
    ).toBeTruthy();
    const others = await read(people['other patient']!, `/v1/emrs/${other}/accesses`);
    expect(clinicianId(others)).not.toBe(clinicianId(answer));
  });

  it('is nobody else’s business', async () => {
    expect((await accesses(people['other patient']!)).status).toBe(404);
    expect((await read(people.patient!, `/v1/emrs/${other}/accesses`)).status).toBe(404);
    for (const who of ['clinician', 'auditor', 'admin']) expect((await accesses(people[who]!)).status).toBe(403);
    // A patient of another hospital: the token opens nothing here, its own gateway has no such record.
    expect((await read(person(b, 'patient.a', ['patient']), `/v1/emrs/${record}/accesses`)).status).toBe(404);
  });
});

describe('the accounting of disclosures', () => {
  const mine = async (who: Person, query = '') =>
    expectStatus(await read(who, `/v1/me/disclosures${query}`), 200).body.items;

  it('tells the patient who received what, when and why', async () => {
    const items = await mine(people.patient!);
    const there = { number: 2, name: null };
    expect(
      items.filter((item: object) => matches(item, { kind: 'transfer', recipient: { hospital: there } })),
    ).toMatchObject([
      { recordId: record, version: 1, purpose: 'TREAT', accountable: false, handedOverAt: expect.any(String) },
    ]);
    expect(items.filter((item: object) => matches(item, { kind: 'other-hospital' }))).toMatchObject([
      {
        recordId: record,
        version: 1,
        purpose: 'TREAT',
        handedOverAt: expect.any(String),
        recipient: { hospital: there, who: { roles: ['clinician'] } },
      },
    ]);
    expect(items.filter((item: object) => matches(item, { kind: 'other-purpose' }))).toMatchObject([
      { purpose: 'HRESCH', accountable: true, recipient: { hospital: { number: 1 } } },
    ]);
    expect(items).toHaveLength(3);
    for (const { time } of items) expect(Math.abs(Date.now() - Date.parse(time))).toBeLessThan(3_600_000);
  });

  it('shows patients their own, and officers whose they ask for', async () => {
    expect(await mine(people['other patient']!)).toEqual([]);
    expect(await mine(people['other patient']!, `?recordId=${record}`)).toEqual([]);
    expect(await mine(person(b, 'patient.a', ['patient']))).toEqual([]);
    const search = async (who: string, body: object) => ask(people[who]!, '/v1/disclosures/_search', body);
    for (const body of [{ patient: { identifier } }, { recordId: record }]) {
      const { items } = expectStatus(await search('privacy-officer', body), 200).body;
      expect(items).toHaveLength(3);
      expect(items[0].recipient.who.address).toMatch(/^0x/);
    }
    const nobody = { patient: { identifier: { value: 'NOBODY' } } };
    expect(expectStatus(await search('records-officer', nobody), 200).body.items).toEqual([]);
    expect((await search('clinician', { recordId: record })).status).toBe(403);
    expect((await search('privacy-officer', {})).status).toBe(400);
    expect((await read(people.clinician!, '/v1/me/disclosures')).status).toBe(403);
  });

  it('comes page by page, within the time asked for', async () => {
    const whole = await mine(people.patient!);
    const first = (await read(people.patient!, '/v1/me/disclosures?limit=2')).body;
    const second = (await read(people.patient!, `/v1/me/disclosures?limit=2&cursor=${first.nextCursor}`)).body;
    expect([...first.items, ...second.items]).toEqual(whole);
    expect(await mine(people.patient!, '?to=2026-01-01T00:00:00Z')).toEqual([]);
  });
});

describe('the access log of a hospital at work', () => {
  it('is a whole chain a moment later, linked by the gateways themselves', async () => {
    const unlinked = `SELECT count(*)::int AS n FROM gateway.access_log a
      WHERE NOT EXISTS (SELECT FROM gateway.access_log_link l WHERE l.entry_id = a.id)`;
    await expect.poll(async () => (await sql.query(unlinked)).rows[0].n, { timeout: 20_000 }).toBe(0);
    const { rows } = await sql.query(
      `SELECT l.sequence, l.leaf, l.head, gateway.access_log_preimage(a) AS preimage
       FROM gateway.access_log_link l LEFT JOIN gateway.access_log a ON a.id = l.entry_id ORDER BY l.sequence`,
    );
    expect(rows.length).toBeGreaterThan(50);
    expect(faultInAccessLog(rows.map((row) => ({ ...row, sequence: BigInt(row.sequence) })))).toBeUndefined();
    expect(await a.metrics()).toMatch(/^emr_access_log_unlinked_seconds [\d.e-]+$/m);
  });

  it('is read by auditors, filtered, page by page, and shows that they did', async () => {
    const list = async (query: string) =>
      expectStatus(await read(people.auditor!, `/v1/audit/access-log?${query}`), 200).body;
    const { items } = await list(`recordId=${record}&kind=release`);
    expect(items.length).toBeGreaterThan(2);
    for (const item of items) expect(item).toMatchObject({ kind: 'release', recordId: record });
    const { principal, actor } = items[0];
    for (const item of (await list(`principal=${principal}&actor=${actor}&limit=200`)).items)
      expect(item).toMatchObject({ principal, actor });
    const first = await list(`recordId=${record}&limit=3`);
    const second = await list(`recordId=${record}&limit=3&cursor=${first.nextCursor}`);
    expect(second.through).toBe(first.through);
    const both = [...first.items, ...second.items].map(({ id }) => id);
    const whole = (await list(`recordId=${record}&limit=200`)).items.map(({ id }: { id: string }) => id);
    expect(both).toEqual(whole.slice(whole.indexOf(both[0]), whole.indexOf(both[0]) + 6));
    expect((await list('to=2026-01-01T00:00:00Z')).items).toEqual([]);
    await expect.poll(async () => (await list('kind=access-log')).items.length, { timeout: 20_000 }).toBeGreaterThan(3);
    const head = (await read(people.auditor!, '/v1/audit/access-log/head')).body;
    expect(Number(head.sequence)).toBeGreaterThan(50);
    expect((await read(people.clinician!, '/v1/audit/access-log')).status).toBe(403);
  });

  it('holds no personal data', async () => {
    const { rows } = await sql.query('SELECT a::text AS row FROM gateway.access_log a');
    const text = rows.map(({ row }) => row).join('\n');
    const planted = ['Zwitschervogel', identifier.value, identifier.system, 'patient.a', 'clinician.a', 'records.a'];
    for (const name of planted) {
      expect(text).not.toContain(name);
      expect(text).not.toContain(Buffer.from(name).toString('hex'));
    }
  });
});

/** Whether `item` has everything that `wanted` says. */
function matches(item: unknown, wanted: unknown): boolean {
  if (typeof wanted !== 'object' || wanted === null) return item === wanted;
  if (typeof item !== 'object' || item === null) return false;
  return Object.entries(wanted).every(([name, value]) => matches((item as Record<string, unknown>)[name], value));
}
