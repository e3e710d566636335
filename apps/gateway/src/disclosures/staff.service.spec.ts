import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createVault, type Vault } from '../../../../libs/vault/src/vault.js';
import type { GatewayEnv } from '../gateway.env.js';
import { StaffIdentity, type StaffRow } from './staff.service.js';

const folder = mkdtempSync(join(tmpdir(), 'emr-staff-'));
const patient = Buffer.alloc(16, 1);
const other = Buffer.alloc(16, 2);
const team = Buffer.alloc(20, 9);
const clinician: StaffRow = {
  ...{ actor: Buffer.alloc(20, 3), principal: null, roles: 1, subject: 'clinician.a', self: false },
};
const auditor: StaffRow = {
  actor: null,
  principal: Buffer.alloc(32, 4),
  roles: null,
  subject: 'auditor.b',
  self: false,
};
const herself: StaffRow = { ...clinician, actor: Buffer.alloc(20, 5), subject: 'patient.c', self: true };
let vault: Vault;

function identity(sees: 'role' | 'name'): StaffIdentity {
  const peers = join(folder, 'peers.json');
  writeFileSync(peers, JSON.stringify({ hospitals: { 2: { url: 'https://b.example', name: 'Hospital B' } } }));
  const env = { PATIENT_SEES_STAFF: sees, PEERS_FILE: peers, HOSPITAL_ID: 1, HOSPITAL_SLUG: 'hospital-a' };
  return new StaffIdentity(vault, env as unknown as GatewayEnv);
}

beforeAll(async () => {
  vault = await createVault(join(folder, 'vault'), 'a passphrase for this test', 2 ** 10);
});
afterAll(() => rmSync(folder, { recursive: true }));

it('shows a patient the role and the team, and neither name nor address', () => {
  expect(identity('role').forPatient(clinician, team, patient)).toEqual({
    id: expect.stringMatching(/^st_[0-9a-f]{32}$/),
    ...{ self: false, roles: ['clinician'], team: `0x${'09'.repeat(20)}` },
  });
});

it('adds the name where the hospital shows names, of its own staff alone, and still no address', () => {
  const names = identity('name');
  expect(names.forPatient(clinician, null, patient)).toMatchObject({ name: 'clinician.a', team: null });
  expect(names.forPatient(auditor, null, patient)).toMatchObject({ name: 'auditor.b', roles: [] });
  expect(names.forPatient({ ...clinician, subject: null }, null, patient)).not.toHaveProperty('name');
  for (const row of [clinician, auditor, herself])
    expect(names.forPatient(row, null, patient)).not.toHaveProperty('address');
});

it('tells a patient of herself without a name, whatever the hospital shows', () => {
  expect(identity('name').forPatient(herself, null, patient)).toEqual({
    id: expect.any(String),
    ...{ self: true, roles: ['patient'], team: null },
  });
});

it('gives the same person one id for each reader: two readers cannot compare', () => {
  const { id } = identity('role').forPatient(clinician, null, patient);
  expect(identity('name').forPatient(clinician, team, patient).id).toBe(id);
  expect(identity('role').forPatient(clinician, null, other).id).not.toBe(id);
  expect(identity('role').forPatient(auditor, null, patient).id).not.toBe(id);
});

it('shows an officer name and address, whatever patients see', () => {
  expect(identity('role').forOfficer(clinician, team)).toMatchObject({
    ...{ name: 'clinician.a', address: `0x${'03'.repeat(20)}`, roles: ['clinician'] },
  });
  expect(identity('role').forOfficer(auditor, null)).not.toHaveProperty('address');
});

it('names hospitals as the file of peers does, and itself', () => {
  const known = identity('role');
  expect(known.hospital(1)).toEqual({ number: 1, name: 'hospital-a' });
  expect(known.hospital(2)).toEqual({ number: 2, name: 'Hospital B' });
  expect(known.hospital(3)).toEqual({ number: 3, name: null });
});
