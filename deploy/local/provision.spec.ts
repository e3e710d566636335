import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readKeystore } from '../../libs/chain-client/src/keys/keystore.js';
import { addressOf } from '../../libs/chain-client/src/keys/secp256k1.js';
import { toHex } from '../../libs/platform/src/bytes.js';
import { openVault } from '../../libs/vault/src/vault.js';
import { readSealer } from '../geth/sealer.js';
import { type HospitalLayout, layoutOf } from './layout.js';
import { demoUsers, keyFiles, type PublicFacts, provisionHospital } from './provision.js';

let dir: string;
let hospital: HospitalLayout;
let facts: PublicFacts;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'emr-provision-'));
  hospital = layoutOf(dir, 4100).hospitals[0] as HospitalLayout;
  facts = await provisionHospital(hospital);
}, 120_000);
afterAll(() => rm(dir, { recursive: true, force: true }));

const passphrase = async () => (await readFile(keyFiles(hospital).passphrase, 'utf8')).trim();

describe('a provisioned hospital', () => {
  it('is the same at the second start', async () => {
    expect(await provisionHospital(hospital)).toEqual(facts);
  });

  it('has keys that open with its passphrase and belong to the public halves', async () => {
    const vault = await openVault(hospital.keys, await passphrase());
    expect(toHex(vault.identityPublicKey)).toBe(facts.identityKey);
    const relayer = await readKeystore(join(hospital.keys, 'relayer-local.json'), await passphrase());
    expect(toHex(addressOf(relayer))).toBe(facts.relayers.local);
    expect(toHex(addressOf(await readSealer(hospital.nodes.global)))).toBe(facts.sealers.global);
  }, 60_000);

  it('has a different key for everything', () => {
    const addresses = [...Object.values(facts.relayers), ...Object.values(facts.sealers), facts.registrar];
    expect(new Set(addresses).size).toBe(5);
  });

  it('has a password for every demo user, long enough, none twice', async () => {
    const passwords = JSON.parse(await readFile(keyFiles(hospital).demoUsers, 'utf8'));
    expect(Object.keys(passwords)).toEqual(demoUsers.a.map(({ username }) => username));
    expect(new Set(Object.values(passwords)).size).toBe(demoUsers.a.length);
    for (const password of Object.values(passwords)) expect(password).toMatch(/^[a-z2-9]{5}(-[a-z2-9]{5}){3}$/);
  });

  it('keeps its secrets to itself', async () => {
    for (const folder of [hospital.keys, hospital.config]) {
      for (const name of await readdir(folder)) {
        if (name !== 'public.json') expect((await stat(join(folder, name))).mode & 0o077, name).toBe(0);
      }
      expect((await stat(folder)).mode & 0o077).toBe(0);
    }
  });
});
