import { createHash, randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { writeKeystore } from '../../libs/chain-client/src/keys/keystore.js';
import { addressOf, newKey } from '../../libs/chain-client/src/keys/secp256k1.js';
import type { HospitalEntry } from '../../libs/contracts/src/deployment.js';
import { fromHex, toHex } from '../../libs/platform/src/bytes.js';
import { createVault } from '../../libs/vault/src/vault.js';
import { importSealer } from '../geth/sealer.js';
import type { HospitalLayout } from './layout.js';

/** What others may know of a hospital's keys; values 0x-hex. */
export interface PublicFacts {
  relayers: { local: string; global: string };
  registrar: string;
  sealers: { local: string; global: string };
  identityKey: string;
  transferKey: string;
  transferKeyId: number;
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
  const vault = await createVault(hospital.keys, passphrase);
  const relayers = { local: newKey(), global: newKey() };
  const registrar = newKey();
  await writeKeystore(join(hospital.keys, 'relayer-local.json'), relayers.local, passphrase);
  await writeKeystore(join(hospital.keys, 'relayer-global.json'), relayers.global, passphrase);
  await writeKeystore(join(hospital.keys, 'registrar.json'), registrar, passphrase);
  const sealers = {
    local: await importSealer(hospital.nodes.local, newKey()),
    global: await importSealer(hospital.nodes.global, newKey()),
  };

  const passwords = Object.fromEntries(demoUsers[hospital.letter].map(({ username }) => [username, newPassword()]));
  await writeSecret(files.demoUsers, passwords);
  const username = `admin.${hospital.letter}`;
  await writeSecret(files.bootstrapAdmin, { username, password: passwords[username] });

  const facts: PublicFacts = {
    relayers: { local: toHex(addressOf(relayers.local)), global: toHex(addressOf(relayers.global)) },
    registrar: toHex(addressOf(registrar)),
    sealers,
    identityKey: toHex(vault.identityPublicKey),
    transferKey: toHex(vault.transferKey.publicKey),
    transferKeyId: vault.transferKey.id,
  };
  const draft = `${files.facts}.tmp`;
  await writeFile(draft, `${JSON.stringify(facts, null, 2)}\n`);
  await rename(draft, files.facts);
  return facts;
}

/** Where this hospital's gateway listens for the others. */
export const peerUrl = (hospital: HospitalLayout) => `http://127.0.0.1:${hospital.ports.peer}`;

export const endpointHash = (hospital: HospitalLayout) => createHash('sha256').update(peerUrl(hospital)).digest();

/** The hospital as a founder of a network's ledger. */
export function foundingEntry(hospital: HospitalLayout, facts: PublicFacts, tier: 'local' | 'global'): HospitalEntry {
  return {
    id: hospital.id,
    registrar: fromHex(facts.registrar, 20),
    relayers: [fromHex(facts.relayers[tier], 20)],
    identityKey: fromHex(facts.identityKey, 32),
    transferKey: fromHex(facts.transferKey, 32),
    transferKeyId: facts.transferKeyId,
    endpointHash: endpointHash(hospital),
  };
}

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
