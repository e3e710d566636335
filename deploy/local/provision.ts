import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { newKey } from '../../libs/chain-client/src/keys/secp256k1.js';
import { importSealer } from '../geth/sealer.js';
import { makeHospitalKeys, type PublicKeys } from '../hospital-keys.js';
import type { HospitalLayout } from './layout.js';

/** What others may know of a hospital's keys; values 0x-hex. */
export interface PublicFacts extends PublicKeys {
  sealers: { local: string; global: string };
}

/** Demo users of one hospital, by role; the first is the administrator the gateway makes itself. */
export interface DemoUser {
  username: string;
  roles: string[];
}

export const demoUsers: Record<HospitalLayout['letter'], DemoUser[]> = {
  a: [
    { username: 'admin.a', roles: ['admin'] },
    { username: 'clinician.a', roles: ['clinician'] },
    { username: 'clinician.c', roles: ['clinician'] },
    { username: 'records-officer.a', roles: ['records-officer'] },
    { username: 'privacy-officer.a', roles: ['privacy-officer'] },
    { username: 'auditor.a', roles: ['auditor'] },
  ],
  b: [
    { username: 'admin.b', roles: ['admin'] },
    { username: 'clinician.b', roles: ['clinician'] },
    { username: 'records-officer.b', roles: ['records-officer'] },
    { username: 'privacy-officer.b', roles: ['privacy-officer'] },
    { username: 'auditor.b', roles: ['auditor'] },
  ],
};

export const keyFiles = (hospital: HospitalLayout) => ({
  passphrase: join(hospital.keys, 'passphrase'),
  facts: join(hospital.keys, 'public.json'),
  bootstrapAdmin: join(hospital.config, 'bootstrap-admin.json'),
  demoUsers: join(hospital.config, 'demo-users.json'),
});

/**
 * Makes a hospital's secrets, once: vault, relayers, registrar, sealers, passwords. The file with the public halves is
 * written last, so that what a killed start left half made is made anew: nothing stands under those keys yet.
 */
export async function provisionHospital(hospital: HospitalLayout): Promise<PublicFacts> {
  const files = keyFiles(hospital);
  for (const folder of [hospital.dir, hospital.config, hospital.logs, hospital.run]) {
    await mkdir(folder, { recursive: true, mode: 0o700 });
  }
  if (existsSync(files.facts)) return JSON.parse(await readFile(files.facts, 'utf8'));

  for (const leftover of [hospital.keys, hospital.nodes.local, hospital.nodes.global]) {
    await rm(leftover, { recursive: true, force: true });
  }
  await mkdir(hospital.keys, { recursive: true, mode: 0o700 });
  const passphrase = randomBytes(24).toString('base64url');
  await writeFile(files.passphrase, `${passphrase}\n`, { mode: 0o600 });
  const keys = await makeHospitalKeys(hospital.keys, passphrase);
  const sealers = {
    local: await importSealer(hospital.nodes.local, newKey()),
    global: await importSealer(hospital.nodes.global, newKey()),
  };

  const passwords = Object.fromEntries(demoUsers[hospital.letter].map(({ username }) => [username, newPassword()]));
  await writeSecret(files.demoUsers, passwords);
  const username = `admin.${hospital.letter}`;
  await writeSecret(files.bootstrapAdmin, { username, password: passwords[username] });

  const facts: PublicFacts = { ...keys, sealers };
  const draft = `${files.facts}.tmp`;
  await writeFile(draft, `${JSON.stringify(facts, null, 2)}\n`);
  await rename(draft, files.facts);
  return facts;
}

/** Where this hospital's gateway listens for the others. */
export const peerUrl = (hospital: HospitalLayout) => `http://127.0.0.1:${hospital.ports.peer}`;

/** Name of a hospital's built-in issuer. It stays when ports move: actors are bound to it. */
const issuerOf = (hospital: HospitalLayout) => `urn:emr-gateway:${hospital.slug}`;

/** One network as NETWORKS_FILE takes it. */
export interface NetworkEntry {
  name: string;
  chainId: string;
  rpc: string;
  contract: string;
  startBlock: string;
  genesisHash: string;
  finalityDepth: number;
  /** seconds between blocks that come without transactions too */
  period?: number;
  gasLimit: number;
  storeRawBlocks: boolean;
  relayers: string[];
}

/** Writes what gateway and indexer read: networks, issuers, peers. @returns their paths */
export async function writeConfig(
  hospital: HospitalLayout,
  others: HospitalLayout[],
  networks: { local: NetworkEntry; global: NetworkEntry },
): Promise<{ networks: string; issuers: string; peers: string }> {
  const paths = {
    networks: join(hospital.config, 'networks.json'),
    issuers: join(hospital.config, 'issuers.json'),
    peers: join(hospital.config, 'peers.json'),
  };
  await writeSecret(paths.networks, { local: 'local', global: 'global', networks: [networks.local, networks.global] });
  const roles = ['clinician', 'records-officer', 'privacy-officer', 'patient', 'device', 'admin', 'auditor'];
  await writeSecret(paths.issuers, [{ issuer: issuerOf(hospital), builtin: true, hospital: hospital.id, roles }]);
  await writeSecret(paths.peers, {
    hospitals: Object.fromEntries(others.map((other) => [String(other.id), { url: peerUrl(other) }])),
  });
  return paths;
}

/** Twenty letters and digits without the ones that look alike: 100 bits, and it can be typed. */
function newPassword(): string {
  const alphabet = 'abcdefghijkmnpqrstuvwxyz23456789';
  const letters = Array.from(randomBytes(20), (byte) => alphabet[byte % alphabet.length]).join('');
  return letters.replace(/(.{5})(?!$)/g, '$1-');
}

async function writeSecret(file: string, value: unknown): Promise<void> {
  const draft = `${file}.tmp`;
  await writeFile(draft, `${JSON.stringify(value, null, 2)}\n`, { mode: 0o600 });
  await rename(draft, file);
}
