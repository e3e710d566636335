import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { expectStatus, type Hospital, type Hospitals, startHospitals } from '../../../../test/hospitals/hospitals.js';
import { ask, done, type Person, propose, see, until } from '../../../../test/hospitals/transfers.js';

let hospitals: Hospitals;
let clinicianA: Person;
let officerA: Person;
let clinicianB: Person;
let officerB: Person;

beforeAll(async () => {
  hospitals = await startHospitals();
  clinicianA = await person(hospitals.a, 'clinician.a', 'clinician');
  officerA = await person(hospitals.a, 'officer.a', 'records-officer');
  clinicianB = await person(hospitals.b, 'clinician.b', 'clinician');
  officerB = await person(hospitals.b, 'officer.b', 'records-officer');
});
afterAll(() => hospitals?.close());

async function person(at: Hospital, name: string, ...roles: string[]): Promise<Person> {
  await at.register(name, roles);
  return { at, name, roles };
}

const addressOf = async (who: Person): Promise<string> => (await see(who, '/v1/me')).actor.address;

/** No act of theirs is taken any more, on either ledger. */
async function suspend(who: Person): Promise<void> {
  const address = await addressOf(who);
  const admin = { ...who, name: 'admin.x', roles: ['admin'] };
  expectStatus(await ask(admin, `/v1/admin/actors/${address}/suspension`, {}), 200);
}

const open = (who: Person, patient: string) =>
  who.at.open(who.name, patient, { resourceType: 'Bundle', type: 'collection', id: patient });
const frozenBy = async (record: string) => (await see(officerA, `/v1/emrs/${record}`)).frozenBy;
const delivered = (path: string) => until(officerB, path, (transfer) => transfer.packageReceived);
const cancel = (who: Person, path: string, headers?: object) =>
  ask(who, `${path}/cancellation`, { reason: 'no-longer-needed' }, headers);

describe('a record that somebody else published', () => {
  it('is transferred by whoever is related to it at their hospital', async () => {
    const record = await open(clinicianA, '000201');
    const privacy = await person(hospitals.a, 'privacy.a', 'privacy-officer');
    const grant = { hospital: 2, purpose: 'TREAT', consent: { hash: `0x${'11'.repeat(32)}` } };
    expectStatus(await ask(privacy, `/v1/emrs/${record}/grants`, grant), 201);
    const colleague = await person(hospitals.a, 'clinician.c', 'clinician');
    const relation = { party: { actor: await addressOf(colleague) } };
    expectStatus(await ask(clinicianA, `/v1/emrs/${record}/relations`, relation), 201);

    const path = await propose(colleague, record);
    await delivered(path);
    expectStatus(await ask(clinicianB, `${path}/acceptance`), 200);
    const sent = await until(officerA, path, done);
    expect(sent.state).toBe('completed');
    const steps = sent.steps.map(({ name, state }: { name: string; state: string }) => `${name} ${state}`);
    expect(steps).toEqual(['freeze', 'relate', 'propose', 'complete', 'unfreeze'].map((name) => `${name} confirmed`));
  });
});

describe('a transfer whose actor was suspended', () => {
  it('that was rejected stays frozen until a records officer ends it', async () => {
    const leaving = await person(hospitals.a, 'leaving.a', 'clinician');
    const record = await open(leaving, '000202');
    const path = await propose(leaving, record);
    await delivered(path);
    await suspend(leaving);
    expectStatus(await ask(clinicianB, `${path}/rejection`, { reason: 'not-needed' }), 200);
    const stuck = await until(officerA, path, ({ step }) => step === 'failed');
    expect(stuck.problem).toBe('unfreeze denied');
    expect(await frozenBy(record)).not.toBeNull();

    expectStatus(await cancel(clinicianA, path), 403);
    const headers = { 'idempotency-key': 'ends-it' };
    const ended = expectStatus(await cancel(officerA, path, headers), 200);
    expect((await until(officerA, path, done)).state).toBe('rejected');
    expect(await frozenBy(record)).toBeNull();
    const replayed = expectStatus(await cancel(officerA, path, headers), 200);
    expect(replayed.body.id).toBe(ended.body.id);
    expect(expectStatus(await cancel(officerA, path), 403).body.reason).toBe('TRANSFER_STATE');
  });

  it('and was accepted goes on in the name of an officer; one who can not open the copy is replaced by a colleague', async () => {
    const leaving = await person(hospitals.a, 'leaving.too', 'clinician');
    const acceptor = await person(hospitals.b, 'leaving.b', 'clinician');
    const record = await open(leaving, '000203');
    const path = await propose(leaving, record);
    await delivered(path);
    await suspend(leaving);
    expectStatus(await ask(acceptor, `${path}/acceptance`), 200);
    const denied = ({ steps }: { steps: { name: string; state: string }[] }) =>
      steps.some(({ name, state }) => name === 'complete' && state === 'denied');
    await until(officerA, path, denied);
    await suspend(acceptor);

    expect(expectStatus(await cancel(officerA, path), 403).body.reason).toBe('TRANSFER_STATE');
    expect((await until(officerA, path, done)).state).toBe('completed');
    expect(await frozenBy(record)).toBeNull();
    await until(officerB, path, ({ step }) => step === 'failed');

    expectStatus(await ask(clinicianB, `${path}/acceptance`), 200);
    const received = await until(officerB, path, done);
    const look = `/v1/emrs/${received.receivedRecordId}/queries`;
    const read = await ask(clinicianB, look, { purpose: 'TREAT' }, { prefer: 'wait=20, return=representation' });
    expect(expectStatus(read, 201).body).toMatchObject({ id: '000203' });
  });

  it('is cancelled by an officer in the name of nobody else', async () => {
    const leaving = await person(hospitals.a, 'leaving.three', 'clinician');
    const record = await open(leaving, '000204');
    const path = await propose(leaving, record);
    await delivered(path);
    await suspend(leaving);
    expectStatus(await cancel(officerA, path), 200);
    expect((await until(officerA, path, done)).state).toBe('cancelled');
    expect(await frozenBy(record)).toBeNull();
  });
});

describe('a transfer that nobody ends', () => {
  /** Shorter than the API allows, so that a test can see it out. */
  const SECONDS = 10;

  beforeAll(async () => {
    const client = new pg.Client({ connectionString: hospitals.a.database.superuserUrl });
    await client.connect();
    await client.query(
      `CREATE FUNCTION gateway.shorten() RETURNS trigger LANGUAGE plpgsql AS
         $$ BEGIN IF NEW.reason = 'other' THEN NEW.ttl := ${SECONDS}; END IF; RETURN NEW; END $$;
       CREATE TRIGGER shorten BEFORE INSERT ON gateway.transfer FOR EACH ROW EXECUTE FUNCTION gateway.shorten()`,
    );
    await client.end();
  });

  it('expires when it is not accepted', async () => {
    const record = await open(clinicianA, '000205');
    const path = await propose(clinicianA, record, { reason: 'other' });
    expect((await until(officerA, path, done)).state).toBe('expired');
    expect(await frozenBy(record)).toBeNull();
    expect((await until(officerB, path, done)).state).toBe('expired');
  });

  it('expires when it was accepted and not completed in time', async () => {
    const record = await open(clinicianA, '000206');
    const path = await propose(clinicianA, record, { reason: 'other' });
    const { expiresAt } = await delivered(path);
    await hospitals.a.stopGateway();
    expectStatus(await ask(clinicianB, `${path}/acceptance`), 200);
    const over = Date.parse(expiresAt) + 1_000 - Date.now();
    await new Promise((resolve) => setTimeout(resolve, Math.max(over, 0)));
    await hospitals.a.startGateway();
    expect((await until(officerA, path, done)).state).toBe('expired');
    expect(await frozenBy(record)).toBeNull();
    expect(await until(officerB, path, done)).toMatchObject({ state: 'expired', receivedRecordId: null });
  });
});
