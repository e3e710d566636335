import { randomBytes } from 'node:crypto';
import type { DataSource } from 'typeorm';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { NetworksConfig } from '../../../../libs/platform/src/networks.js';
import type { Vault } from '../../../../libs/vault/src/vault.js';
import { someCaller } from '../../../../test/builders/caller.builder.js';
import { MirrorBuilder, someRecordId } from '../../../../test/builders/mirror.builder.js';
import { type TestStorage, testStorage } from '../../../../test/stack/storage.js';
import type { Caller, RoleName } from '../auth/caller.js';
import { PatientsStore } from '../emrs/patients.store.js';
import type { GatewayEnv } from '../gateway.env.js';
import { Records } from './records.service.js';
import { RecordsStore } from './records.store.js';

let storage: TestStorage;
let gateway: DataSource;
let mirror: MirrorBuilder;
let vault: Vault;
let records: Records;

beforeAll(async () => {
  storage = await testStorage();
  ({ gateway, vault } = storage);
  mirror = new MirrorBuilder(storage.mirror);
  const networks = { local: 'local', global: 'global' } as NetworksConfig;
  records = new Records(new RecordsStore(gateway, networks, { HOSPITAL_ID: 1 } as GatewayEnv), vault);
});
afterAll(() => storage?.close());

const caller = (role: RoleName = 'clinician') =>
  someCaller({ roles: [role], actor: { address: randomBytes(20), custody: 'gateway' } });

async function seen(who: Caller, recordId: Buffer): Promise<boolean> {
  const found = await records.requireVisible(who, recordId).then(
    () => true,
    (error) => {
      expect(error.code).toBe('NOT_FOUND');
      return false;
    },
  );
  const listed = await records.list(who, { limit: 200 });
  expect(listed.some((record) => record.recordId.equals(recordId))).toBe(found);
  return found;
}

describe("a record's metadata", () => {
  let recordId: Buffer;
  beforeEach(async () => {
    recordId = someRecordId(1);
    await mirror.record('local', { recordId });
  });

  it('is seen by whom its relation names, as long as it lasts', async () => {
    const who = caller();
    expect(await seen(who, recordId)).toBe(false);
    await mirror.relation('local', recordId, who.actor!.address, Math.floor(Date.now() / 1000) + 60);
    expect(await seen(who, recordId)).toBe(true);
    await mirror.endRelations(recordId);
    expect(await seen(who, recordId)).toBe(false);
    const late = caller();
    await mirror.relation('local', recordId, late.actor!.address, Math.floor(Date.now() / 1000) - 1);
    expect(await seen(late, recordId)).toBe(false);
  });

  it('is seen by members of a related team', async () => {
    const who = caller();
    const team = randomBytes(20);
    await mirror.relation('local', recordId, team);
    expect(await seen(who, recordId)).toBe(false);
    await mirror.member('local', team, who.actor!.address);
    expect(await seen(who, recordId)).toBe(true);
  });

  it('is seen by whom a grant reaches, until it is revoked', async () => {
    const who = caller();
    const id = await mirror.grant('local', recordId, { grantee: who.actor!.address });
    expect(await seen(who, recordId)).toBe(true);
    await mirror.revoke(id);
    expect(await seen(who, recordId)).toBe(false);
    await mirror.grant('local', recordId, { hospital: 2 });
    expect(await seen(who, recordId)).toBe(false);
    await mirror.grant('local', recordId, { hospital: 1 });
    expect(await seen(who, recordId)).toBe(true);
  });

  it('is seen by offices of the hospital, and by no other office', async () => {
    for (const role of ['records-officer', 'privacy-officer', 'auditor'] as const) {
      expect(await seen(caller(role), recordId)).toBe(true);
    }
    for (const role of ['admin', 'device', 'patient'] as const) expect(await seen(caller(role), recordId)).toBe(false);
  });

  it('is seen by its patient, and by nobody else with that role', async () => {
    const patient = caller('patient');
    const store = new PatientsStore(gateway);
    await gateway.transaction(async (manager) => {
      const id = await store.upsert(manager, { identifierIndex: randomBytes(32), sealed: randomBytes(40), kekId: 'k' });
      await store.link(manager, recordId, id, randomBytes(20));
    });
    expect(await seen(patient, recordId)).toBe(false);
    expect(await store.linkAccount(recordId, records.accountIndex(patient.issuer, patient.subject))).toBe(true);
    expect(await seen(patient, recordId)).toBe(true);
    expect(await seen(caller('patient'), recordId)).toBe(false);
    expect(await seen({ ...patient, roles: ['clinician'] }, recordId)).toBe(false);
  });

  it("of another hospital's record is seen by grant only, on the global network", async () => {
    const foreign = someRecordId(2);
    await mirror.record('global', { recordId: foreign, custodian: 2 });
    const who = caller();
    expect(await seen(caller('auditor'), foreign)).toBe(false);
    expect(await seen(who, foreign)).toBe(false);
    await mirror.grant('global', foreign, { hospital: 1 });
    expect(await seen(who, foreign)).toBe(true);
    expect((await records.require(foreign)).network).toBe('global');
  });

  it('is that of the local ledger when the record is published too', async () => {
    await mirror.record('global', { recordId });
    expect((await records.require(recordId)).network).toBe('local');
    expect(await records.isPublished(recordId)).toBe(true);
    const listed = await records.list(caller('auditor'), { limit: 200 });
    expect(listed.filter((record) => record.recordId.equals(recordId))).toHaveLength(1);
  });

  it('is listed newest first, page by page, without gap or repeat', async () => {
    const who = caller();
    const made: string[] = [];
    for (let index = 0; index < 7; index++) {
      const id = someRecordId(1);
      await mirror.record('local', { recordId: id, openedAt: 1000 + Math.floor(index / 2) });
      await mirror.relation('local', id, who.actor!.address);
      made.push(id.toString('hex'));
    }
    const paged: string[] = [];
    let before: { openedAt: number; recordId: Buffer } | undefined;
    for (;;) {
      const page = await records.list(who, { limit: 2, ...(before ? { before } : {}) });
      paged.push(...page.map((record) => record.recordId.toString('hex')));
      before = page.at(-1);
      if (!before) break;
    }
    // Records opened to the whole hospital by other tests are among them.
    expect(new Set(paged).size).toBe(paged.length);
    expect(paged.filter((id) => made.includes(id)).sort()).toEqual([...made].sort());
  });
});
