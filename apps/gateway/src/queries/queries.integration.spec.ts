import { createHash, randomBytes } from 'node:crypto';
import type { DataSource } from 'typeorm';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { addressOf } from '../../../../libs/chain-client/src/keys/secp256k1.js';
import { Operation, Reason } from '../../../../libs/contracts/src/operations.js';
import { addressWord, parameters } from '../../../../libs/contracts/src/parameters.js';
import type { NetworksConfig } from '../../../../libs/platform/src/networks.js';
import type { Vault } from '../../../../libs/vault/src/vault.js';
import { someCaller } from '../../../../test/builders/caller.builder.js';
import { MirrorBuilder, someRecordId } from '../../../../test/builders/mirror.builder.js';
import { type TestStorage, testStorage } from '../../../../test/stack/storage.js';
import { AccessLog } from '../audit/access-log.service.js';
import { AccessLogStore } from '../audit/access-log.store.js';
import type { Caller } from '../auth/caller.js';
import { RecordContents } from '../contents/record-contents.service.js';
import { RecordContentsStore } from '../contents/record-contents.store.js';
import { Patients } from '../emrs/patients.service.js';
import { PatientsStore } from '../emrs/patients.store.js';
import type { GatewayEnv } from '../gateway.env.js';
import { ActorKeys } from '../keys/actor-keys.js';
import type { OperationsService } from '../operations/operations.service.js';
import { Records } from '../policy/records.service.js';
import { RecordsStore } from '../policy/records.store.js';
import { QueriesService } from './queries.service.js';
import { QueriesStore } from './queries.store.js';

const CLINICIAN = 1;
const plaintext = Buffer.from('{"resourceType":"Bundle"}');
const networks = { local: 'local', global: 'global' } as NetworksConfig;
const env = { HOSPITAL_ID: 1 } as GatewayEnv;
const own = Buffer.alloc(32);

let storage: TestStorage;
let gateway: DataSource;
let mirror: MirrorBuilder;
let vault: Vault;
let store: QueriesStore;
let contents: RecordContents;
let service: QueriesService;
let patients: Patients;

beforeAll(async () => {
  storage = await testStorage();
  ({ gateway, vault } = storage);
  mirror = new MirrorBuilder(storage.mirror);
  store = new QueriesStore(gateway, networks, env);
  contents = new RecordContents(new RecordContentsStore(gateway), vault);
  const log = new AccessLog(new AccessLogStore(gateway));
  patients = new Patients(
    new PatientsStore(gateway),
    vault,
    new ActorKeys(gateway, vault),
    new Records(new RecordsStore(gateway, networks, env), vault),
    log,
  );
  service = new QueriesService(store, {} as OperationsService, contents, patients);
});
afterAll(() => storage?.close());

let actor: Buffer;
let caller: Caller;
let recordId: Buffer;

/** A record of hospital 1 with stored content, and a clinician. */
beforeEach(async () => {
  actor = randomBytes(20);
  caller = someCaller({ issuer: 'i', subject: 's', actor: { address: actor, custody: 'gateway' } });
  const requestId = randomBytes(32);
  recordId = vault.recordId(1, requestId);
  const staged = { mediaType: 'text/plain', sha256: createHash('sha256').update(plaintext).digest(), bytes: plaintext };
  const sealed = contents.seal(requestId, { chainId: 80n, recordId, version: 1 }, staged);
  await gateway.transaction((manager) => contents.keep(manager, { recordId, version: 1, requestId }, sealed));
  await mirror.record('local', { recordId, requestId, contentHash: sealed.contentHash });
  await mirror.actor('local', actor, CLINICIAN);
});

interface Asked {
  outcome?: number;
  ttl?: number;
  basis?: Buffer;
  time?: number;
  final?: boolean;
  decided?: boolean;
  record?: Buffer;
  network?: string;
}

async function asked(options: Asked = {}): Promise<Buffer> {
  const requestId = randomBytes(32);
  const { ttl = 300, basis = own, network = 'local', record = recordId } = options;
  const asking = { version: 1, purpose: 1, ttl, basis };
  await gateway.query(
    `INSERT INTO gateway.operation (id, request_id, network, body_hash, principal, type, code, actor, record_id, parameters,
       deadline, auth_context, signature) VALUES ($1, $2, $3, '\\x00', $4, 'query', $5, $6, $7, $8, 1, $2, '\\x00')`,
    [
      `op_${requestId.toString('hex').slice(0, 32)}`,
      requestId,
      network,
      caller.principal,
      Operation.QUERY,
      actor,
      record,
      parameters.query(asking),
    ],
  );
  if (options.decided ?? true) {
    await mirror.event(
      network,
      {
        type: 'RecordQueried',
        operation: Operation.QUERY,
        recordId: record,
        actor,
        requestId,
        own: [1, 1, ttl, basis],
        ...(options.outcome ? { outcome: options.outcome } : {}),
        ...(options.time ? { time: options.time } : {}),
      },
      { final: options.final ?? true },
    );
  }
  return requestId;
}

async function releases(requestId: Buffer): Promise<number> {
  const [row] = await gateway.query(
    "SELECT count(*)::int AS count FROM gateway.access_log WHERE kind = 'release' AND request_id = $1",
    [requestId],
  );
  return row.count;
}

async function refusal(requestId: Buffer): Promise<string> {
  const code = await service.release(caller, requestId).then(
    () => 'released',
    (error) => error.code,
  );
  if (code !== 'released') expect(await releases(requestId)).toBe(0);
  return code;
}

describe('release of content', () => {
  it('gives a related clinician what was stored, once final, and writes it down', async () => {
    await mirror.relation('local', recordId, actor);
    const requestId = await asked();
    const released = await service.release(caller, requestId);
    expect(released.body).toEqual(plaintext);
    expect(released.mediaType).toBe('text/plain');
    expect(released.headers).toMatchObject({ location: `/v1/queries/0x${requestId.toString('hex')}` });
    expect(await releases(requestId)).toBe(1);
    expect(await service.view(caller, requestId)).toMatchObject({ state: 'confirmed', purpose: 'TREAT', version: 1 });
  });

  it('gives nothing before the query is decided, or before the decision is final', async () => {
    await mirror.relation('local', recordId, actor);
    expect(await refusal(await asked({ decided: false }))).toBe('CONFLICT');
    expect(await refusal(await asked({ final: false }))).toBe('CONFLICT');
  });

  it('gives nothing that the ledger refused', async () => {
    const requestId = await asked({ outcome: Reason.NO_RELATION });
    expect(await refusal(requestId)).toBe('DENIED_BY_LEDGER');
    expect(await service.view(caller, requestId)).toMatchObject({ state: 'denied', reason: 'NO_RELATION' });
  });

  it('gives nothing after its time', async () => {
    await mirror.relation('local', recordId, actor);
    const hourAgo = Math.floor(Date.now() / 1000) - 3600;
    expect(await refusal(await asked({ time: hourAgo, ttl: 3599 }))).toBe('GONE');
    expect(await refusal(await asked({ time: hourAgo, ttl: 3660 }))).toBe('released');
    const dayAgo = hourAgo - 23 * 3600;
    expect(await refusal(await asked({ time: dayAgo, ttl: 86_399 }))).toBe('GONE');
    expect(await refusal(await asked({ time: dayAgo, ttl: 86_460 }))).toBe('released');
  });

  it('is for the principal who asked alone', async () => {
    await mirror.relation('local', recordId, actor);
    const requestId = await asked();
    await expect(service.release({ ...caller, principal: randomBytes(32) }, requestId)).rejects.toMatchObject({
      code: 'NOT_FOUND',
    });
    expect(await releases(requestId)).toBe(0);
  });

  it('ends with the relation, and with the actor', async () => {
    await mirror.relation('local', recordId, actor);
    const requestId = await asked();
    expect(await refusal(requestId)).toBe('released');
    await mirror.endRelations(recordId);
    await expect(service.release(caller, requestId)).rejects.toMatchObject({ code: 'FORBIDDEN' });
    const second = await asked();
    await mirror.relation('local', recordId, randomBytes(20));
    expect(await refusal(second)).toBe('FORBIDDEN');
    await storage.mirror.query('UPDATE mirror.relation SET ended_at = NULL WHERE party = $1', [actor]);
    expect(await refusal(second)).toBe('released');
    await mirror.suspend(actor);
    expect(await refusal(await asked())).toBe('FORBIDDEN');
  });

  it('is for a patient while their log-in stands for the patient, and takes the role', async () => {
    const subjectKey = vault.subjectKey(randomBytes(32));
    const subject = addressOf(subjectKey);
    await gateway.transaction((manager) =>
      patients.attach(manager, { recordId, subject, subjectKey }, { value: 'CANARY-9' }),
    );
    await storage.mirror.query('UPDATE mirror.record SET subject = $2 WHERE record_id = $1', [recordId, subject]);
    const officer: Caller = { ...caller, subject: 'officer.a', roles: ['records-officer'] };
    await expect(patients.linkAccount(officer, recordId, 'i', 'officer.a')).rejects.toMatchObject({
      code: 'FORBIDDEN',
    });
    await patients.linkAccount(officer, recordId, 'i', 's');
    const [logged] = await gateway.query(
      "SELECT detail FROM gateway.access_log WHERE kind = 'account-link' AND record_id = $1",
      [recordId],
    );
    expect(logged.detail.account).toMatch(/^0x[0-9a-f]{64}$/);
    caller = { ...caller, roles: ['patient'] };
    actor = subject;
    const requestId = await asked();
    expect(await refusal(requestId)).toBe('released');
    await expect(service.release({ ...caller, roles: ['clinician'] }, requestId)).rejects.toMatchObject({
      code: 'FORBIDDEN',
    });
    await gateway.query('DELETE FROM gateway.patient_account');
    await expect(service.release(caller, requestId)).rejects.toMatchObject({ code: 'FORBIDDEN' });
    expect(await releases(requestId)).toBe(1);
  });

  it('takes a token that still carries a role to look with', async () => {
    await mirror.relation('local', recordId, actor);
    const requestId = await asked();
    caller = { ...caller, ledgerRoles: CLINICIAN };
    expect(await refusal(requestId)).toBe('released');
    const stripped: Caller = { ...caller, roles: ['auditor'] };
    await expect(service.release(stripped, requestId)).rejects.toMatchObject({ code: 'FORBIDDEN' });
    expect(await releases(requestId)).toBe(1);
  });

  it('stands on a team only with team relation and membership', async () => {
    const team = randomBytes(20);
    const requestId = await asked({ basis: addressWord(team) });
    expect(await refusal(requestId)).toBe('FORBIDDEN');
    await mirror.relation('local', recordId, team);
    expect(await refusal(requestId)).toBe('FORBIDDEN');
    await mirror.member('local', team, actor);
    expect(await refusal(requestId)).toBe('released');
  });

  it('stands on a grant until it is revoked', async () => {
    const grantId = await mirror.grant('local', recordId, { grantee: actor, purpose: 1 });
    const requestId = await asked({ basis: grantId });
    expect(await refusal(requestId)).toBe('released');
    await mirror.revoke(grantId);
    await expect(service.release(caller, requestId)).rejects.toMatchObject({ code: 'FORBIDDEN' });
    const forOther = await mirror.grant('local', recordId, { grantee: actor, purpose: 3 });
    expect(await refusal(await asked({ basis: forOther }))).toBe('FORBIDDEN');
    const past = await mirror.grant('local', recordId, { grantee: actor, notAfter: 2 });
    expect(await refusal(await asked({ basis: past }))).toBe('FORBIDDEN');
  });

  it('fails on content that is not what the ledger says, and on content whose key was erased', async () => {
    await mirror.relation('local', recordId, actor);
    const requestId = await asked();
    await gateway.query(
      'UPDATE gateway.record_content SET ciphertext = set_byte(ciphertext, 0, 1 + get_byte(ciphertext, 0) % 200) WHERE record_id = $1',
      [recordId],
    );
    await expect(service.release(caller, requestId)).rejects.toMatchObject({ code: 'INTERNAL' });
    await gateway.query('DELETE FROM gateway.record_key WHERE record_id = $1', [recordId]);
    await expect(service.release(caller, requestId)).rejects.toMatchObject({ code: 'GONE' });
  });

  it('says so when the record is elsewhere and nobody can fetch it', async () => {
    const foreign = someRecordId(2);
    await mirror.record('global', { recordId: foreign, custodian: 2 });
    await mirror.actor('global', actor, CLINICIAN);
    const grantId = await mirror.grant('global', foreign, { hospital: 1 });
    const requestId = await asked({ network: 'global', record: foreign, basis: grantId });
    await expect(service.release(caller, requestId)).rejects.toMatchObject({ code: 'PEER_UNAVAILABLE' });
  });

  it('answers many at once, each its own', async () => {
    await mirror.relation('local', recordId, actor);
    const ids: Buffer[] = [];
    for (let index = 0; index < 40; index++) ids.push(await asked());
    const denied = await asked({ outcome: Reason.NO_RELATION });
    const answers = await Promise.allSettled([...ids, denied].map((id) => service.release(caller, id)));
    expect(answers.slice(0, 40).map((it) => it.status === 'fulfilled' && it.value.headers?.location)).toEqual(
      ids.map((id) => `/v1/queries/0x${id.toString('hex')}`),
    );
    expect(answers[40]!.status).toBe('rejected');
  });
});

describe('where a query goes', () => {
  const target = (record = recordId) => store.targets([{ recordId: record, actor, purpose: 1 }]).then(([it]) => it);

  it('knows no record that no ledger has', async () => expect(await target(someRecordId(1))).toBeUndefined());

  it('prefers the own relation, then a team, then a grant, and without any still asks', async () => {
    expect(await target()).toEqual({ network: 'local', version: 1, basis: own });
    const grantId = await mirror.grant('local', recordId, { grantee: actor });
    expect((await target())?.basis).toEqual(grantId);
    const team = randomBytes(20);
    await mirror.relation('local', recordId, team);
    await mirror.member('local', team, actor);
    expect((await target())?.basis).toEqual(addressWord(team));
    await mirror.relation('local', recordId, actor);
    expect((await target())?.basis).toEqual(own);
  });

  it("sends a query of another hospital's record to the global network", async () => {
    const foreign = someRecordId(2);
    await mirror.record('global', { recordId: foreign, custodian: 2 });
    const grantId = await mirror.grant('global', foreign, { hospital: 1 });
    expect(await target(foreign)).toEqual({ network: 'global', version: 1, basis: grantId });
  });
});
