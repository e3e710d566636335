import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { RpcTransport } from '../../libs/chain-client/src/rpc/transport.js';
import { connectRpc } from '../../libs/chain-client/src/rpc/transport.js';
import { type Answer, expectStatus, type Hospital, type Hospitals, startHospitals } from './hospitals.js';

/**
 * Names, identifiers and diagnoses that exist in no other place: planted where personal data belongs, in bad requests too, then looked for
 * everywhere else. Nothing but the content that was asked for may show one.
 */
const canaries = {
  family: 'Zwitschervogel',
  given: 'Kanarina',
  diagnosis: 'Morbus-Canariensis',
  mrn: 'CANARY-MRN-4711',
  system: 'urn:canary-system',
  member: 'canarymember',
};
const spellings = Object.values(canaries).flatMap((text) => [text, text.toLowerCase(), ...encodings(text)]);

function encodings(text: string): string[] {
  // Base64 spells a text in three ways, by where in a group of three it begins; its middle is always the same.
  const base64 = [0, 1, 2].map((shift) => {
    const encoded = Buffer.concat([Buffer.alloc(shift), Buffer.from(text)]).toString('base64');
    return encoded.slice(4, -4);
  });
  return [Buffer.from(text).toString('hex'), ...base64];
}

function sightings(where: string, haystack: string): string[] {
  const plain = haystack.toLowerCase();
  return spellings.filter((it) => haystack.includes(it) || plain.includes(it)).map((it) => `${it} in ${where}`);
}

const clinician = ['clinician'];
const resource = (note: string) => ({
  resourceType: 'Patient',
  name: [{ family: canaries.family, given: [canaries.given] }],
  identifier: [{ system: canaries.system, value: canaries.mrn }],
  text: { div: `${canaries.diagnosis} ${note}` },
});
const identifier = { system: canaries.system, value: canaries.mrn };

let hospitals: Hospitals;
let a: Hospital;
let b: Hospital;
const stdout: string[] = [];
/** Everything that was answered, but content to whom asked for it. */
const answers: { what: string; answer: Answer }[] = [];

async function call(
  hospital: Hospital,
  subject: string,
  roles: string[],
  method: string,
  path: string,
  body?: unknown,
  headers?: object,
) {
  const answer = await hospital.call(subject, roles, method, path, body, headers);
  answers.push({ what: `the answer to ${method} ${path.replace(/0x[0-9a-f]{64}/g, '…')} (${answer.status})`, answer });
  return answer;
}

beforeAll(async () => {
  for (const stream of ['stdout', 'stderr'] as const) {
    const write = process[stream].write.bind(process[stream]) as (...args: unknown[]) => boolean;
    vi.spyOn(process[stream], 'write').mockImplementation((...args: unknown[]) => {
      stdout.push(String(args[0]));
      return write(...args);
    });
  }
  hospitals = await startHospitals();
  ({ a, b } = hospitals);
  await a.register('clinician.a', clinician);
  await a.register('clinician.b', clinician);
  await a.register('privacy.a', ['privacy-officer']);
  await b.register('clinician.c', clinician);
  await live();
  await stumble();
});
afterAll(async () => {
  vi.restoreAllMocks();
  await hospitals?.close();
});

/** What a hospital does with a record, from open to transfer. */
async function live(): Promise<void> {
  const upload = async (note: string) => {
    const bytes = Buffer.from(JSON.stringify(resource(note)));
    return expectStatus(await call(a, 'clinician.a', clinician, 'POST', '/v1/contents', bytes), 201).body.contentId;
  };
  const body = { patient: { identifier }, contentId: await upload('first') };
  const opened = expectStatus(await call(a, 'clinician.a', clinician, 'POST', '/v1/emrs', body), 201);
  const record: string = opened.body.recordId;
  const amendment = { contentId: await upload('second') };
  const versions = `/v1/emrs/${record}/versions`;
  expectStatus(await call(a, 'clinician.a', clinician, 'POST', versions, amendment, { 'if-match': '"v1"' }), 201);
  const search = { identifier };
  expectStatus(await call(a, 'clinician.a', clinician, 'POST', '/v1/emrs/_search', search), 200);
  const audit = { patient: { identifier } };
  expectStatus(await call(a, 'auditor.a', ['auditor'], 'POST', '/v1/audit/events/_search', audit), 200);

  const queries = `/v1/emrs/${record}/queries`;
  const content = { prefer: 'wait=20, return=representation' };
  const read = await a.call('clinician.a', clinician, 'POST', queries, { purpose: 'TREAT' }, content);
  expect(expectStatus(read, 201).text).toContain(canaries.family); // the canaries are in there
  expect(sightings('headers', JSON.stringify([...read.headers]))).toEqual([]);
  expectStatus(await call(a, 'clinician.b', clinician, 'POST', queries, { purpose: 'TREAT' }, content), 403);

  const consented = Buffer.from(JSON.stringify({ resourceType: 'Consent', patient: canaries.family }));
  const uploaded = await call(a, 'privacy.a', ['privacy-officer'], 'POST', '/v1/contents', consented);
  const grant = { hospital: 2, consent: { contentId: uploaded.body.contentId } };
  expectStatus(await call(a, 'privacy.a', ['privacy-officer'], 'POST', `/v1/emrs/${record}/grants`, grant), 201);
  await until(
    async () => (await b.call('clinician.c', clinician, 'POST', queries, { purpose: 'TREAT' }, content)).status === 201,
  );

  const transfer = await call(a, 'clinician.a', clinician, 'POST', `/v1/emrs/${record}/transfers`, {
    toHospital: 2,
    mode: 'copy',
  });
  const path = expectStatus(transfer, 201).headers.get('location')!;
  const seen = async () => (await b.call('clinician.c', clinician, 'GET', path)).body;
  await until(async () => (await seen()).packageReceived);
  expectStatus(await call(b, 'clinician.c', clinician, 'POST', `${path}/acceptance`), 200);
  await until(async () => (await seen()).step === 'done');
}

/** Requests that are wrong in ways that invite quoting them. */
async function stumble(): Promise<void> {
  const fhir = (text: string) => call(a, 'clinician.a', clinician, 'POST', '/v1/contents', Buffer.from(text));
  expectStatus(await fhir(`{"name":"${canaries.family}"`), 400);
  expectStatus(await fhir(`{"resourceType":"${canaries.diagnosis}"}`), 400);
  const contentId = `ct_${'00'.repeat(16)}`;
  const open = (body: unknown) => call(a, 'clinician.a', clinician, 'POST', '/v1/emrs', body);
  expectStatus(await open({ patient: { identifier }, contentId }), 400);
  expectStatus(await open({ patient: { identifier: { value: `${canaries.mrn}\u0007` } }, contentId }), 400);
  expectStatus(
    await open({ patient: { identifier: { ...identifier, value: canaries.mrn.repeat(40) } }, contentId }),
    400,
  );
  expectStatus(await open(`${canaries.family}`), 400);
  expectStatus(await open({ patient: { identifier, [canaries.member]: 1 }, contentId, [canaries.family]: 1 }), 400);
  const search = { identifier: { value: [canaries.mrn] } };
  expectStatus(await call(a, 'clinician.a', clinician, 'POST', '/v1/emrs/_search', search), 400);
  expectStatus(
    await call(a, 'clinician.a', clinician, 'POST', '/v1/emrs/_search', { identifier, cursor: canaries.mrn }),
    400,
  );
  // In a URL by the caller's own mistake: it must go no further.
  expectStatus(await a.call('clinician.a', clinician, 'GET', `/v1/emrs/${canaries.mrn}`), 400);
  expectStatus(await a.call('clinician.a', clinician, 'GET', `/v1/emrs?patient=${canaries.mrn}`), 400);
  expectStatus(await a.call('clinician.a', clinician, 'GET', `/v1/${canaries.mrn}`), 404);
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  for (let count = 0; count < 300; count++) {
    if (await condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error('what was waited for did not happen');
}

describe('personal data', () => {
  it('is in no answer, error or header but the content that was asked for', () => {
    const seen = answers.flatMap(({ what, answer }) => [
      ...sightings(what, answer.text),
      ...sightings(`headers of ${what}`, JSON.stringify([...answer.headers])),
    ]);
    expect(seen).toEqual([]);
  });

  it('is in no log line and no metric', async () => {
    for (const hospital of [a, b]) {
      expect(hospital.log.length).toBeGreaterThan(10);
      expect(sightings('the log', JSON.stringify(hospital.log))).toEqual([]);
      expect(sightings('the metrics', await hospital.metrics())).toEqual([]);
    }
    expect(sightings('the output', stdout.join(''))).toEqual([]);
  });

  it('is in no table in the clear, queues, signed transactions and the mirror included', async () => {
    for (const hospital of [a, b]) {
      const client = new pg.Client({ connectionString: hospital.database.superuserUrl });
      await client.connect();
      try {
        const { rows: tables } = await client.query<{ name: string }>(
          `SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables WHERE schemaname IN ('gateway', 'mirror', 'bullmq', 'public')`,
        );
        expect(tables.length).toBeGreaterThan(30);
        for (const { name } of tables) {
          // A row as text has bytes in hex.
          const { rows } = await client.query<{ row: string }>(`SELECT t::text AS row FROM ${name} t`);
          expect(sightings(name, rows.map(({ row }) => row).join('\n'))).toEqual([]);
        }
        const { rows } = await client.query('SELECT count(*)::int AS count FROM gateway.attempt');
        expect(rows[0].count).toBeGreaterThan(0);
      } finally {
        await client.end();
      }
    }
  });

  it('is in no block of any ledger', async () => {
    for (const rpcUrl of hospitals.ledgers) {
      const rpc = connectRpc(rpcUrl);
      try {
        expect(sightings('the chain', await everyBlock(rpc))).toEqual([]);
      } finally {
        await rpc.close();
      }
    }
  });
});

/** Every block with its transactions, and every log, as the node tells them. */
async function everyBlock(rpc: RpcTransport): Promise<string> {
  const tip = Number(await rpc.request<string>('eth_blockNumber'));
  const blocks: unknown[] = [];
  for (let number = 0; number <= tip; number++) {
    blocks.push(await rpc.request('eth_getBlockByNumber', [`0x${number.toString(16)}`, true]));
  }
  blocks.push(await rpc.request('eth_getLogs', [{ fromBlock: '0x0', toBlock: 'latest' }]));
  return JSON.stringify(blocks);
}
