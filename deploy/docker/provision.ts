import { randomBytes } from 'node:crypto';
import { chown, mkdir, readdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { roleNames } from '../../apps/gateway/src/auth/caller.js';
import { writeKeystore } from '../../libs/chain-client/src/keys/keystore.js';
import { addressOf, newKey } from '../../libs/chain-client/src/keys/secp256k1.js';
import { toHex } from '../../libs/platform/src/bytes.js';
import { foundingOf } from '../geth/founding.js';
import { cliqueGenesis, GAS_LIMIT, type Genesis, genesisHash } from '../geth/genesis.js';
import { foundingEntry, makeHospitalKeys } from '../hospital-keys.js';

const address = z.string().regex(/^0x[0-9a-f]{40}$/);
const key = z.string().regex(/^0x[0-9a-f]{64}$/);
const tiers = <T extends z.ZodType>(of: T) => z.strictObject({ local: of, global: of });

/** public.json: what a hospital hands to the other founders. Nothing in it is secret; who it came from is to be made sure of by other ways. */
const publicFacts = z.strictObject({
  id: z.int().min(1).max(0xffff_ffff),
  slug: z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/),
  peerUrl: z.url({ protocol: /^https?$/ }),
  relayers: tiers(address),
  registrar: address,
  sealers: tiers(address),
  identityKey: key,
  transferKey: key,
  transferKeyId: z.int().min(1),
});
export type FounderFacts = z.output<typeof publicFacts>;

export interface NewHospital {
  id: number;
  slug: string;
  /** Where its gateway listens for the others. */
  peerUrl: string;
  /** Its OIDC provider; without one, issuers.json is left to be written. */
  issuer?: { issuer: string; jwksUri: string } | undefined;
}

/** Users of the containers of docker-compose.yml. */
const POSTGRES_UID = 999;
const PROGRAM_UID = 1000;

const secretsOf = (dir: string, slug: string) => join(dir, 'secrets', slug);
const configOf = (dir: string, slug: string) => join(dir, 'config', slug);

/**
 * Makes what docker-compose.yml wants of one hospital: secrets, keys, sealers, issuers.json, public.json. Nothing that exists is touched.
 * @param dir SECRETS_DIR is its folder `secrets`, CONFIG_DIR its folder `config`
 * @throws Error when the hospital has been provisioned there before, or an input doesn't fit
 */
export async function provisionHospital(dir: string, hospital: NewHospital): Promise<FounderFacts> {
  const { id, slug, peerUrl, issuer } = hospital;
  const [secrets, config] = [secretsOf(dir, slug), configOf(dir, slug)];
  publicFacts.pick({ id: true, slug: true, peerUrl: true }).parse({ id, slug, peerUrl });
  for (const folder of [secrets, config]) {
    await mkdir(join(folder, '..'), { recursive: true });
    await mkdir(folder, { mode: 0o700 }).catch((cause: unknown) => {
      throw new Error(`${folder} is there already: keys that are in use are never made anew`, { cause });
    });
  }
  const secret = (name: string, value: string) => writeNew(join(secrets, name), `${value}\n`, 0o600);
  const letter = slug.split('-').at(-1);
  for (const role of ['superuser', 'owner', 'gateway', 'mirror', 'node']) {
    const password = newSecret();
    await secret(`postgres-${role}-password`, password);
    if (role !== 'superuser') await secret(`${role}-url`, `postgres://${role}:${password}@postgres-${letter}:5432/emr`);
  }
  const redisPassword = newSecret();
  await secret('redis-password', redisPassword);
  await secret('queue-url', `redis://:${redisPassword}@redis-${letter}:6379`);

  const passphrase = newSecret();
  const keys = await makeHospitalKeys(join(config, 'keys'), passphrase);
  await secret('keystore-passphrase', passphrase);
  const sealerPassphrase = newSecret();
  await secret('sealer-passphrase', sealerPassphrase);
  const sealers = { local: newKey(), global: newKey() };
  for (const tier of ['local', 'global'] as const) {
    await writeKeystore(join(secrets, `sealer-${tier}.json`), sealers[tier], sealerPassphrase);
  }
  if (issuer) await writeJson(join(config, 'issuers.json'), [{ ...issuer, hospital: id, roles: roleNames }]);
  const facts: FounderFacts = {
    ...{ id, slug, peerUrl, ...keys },
    sealers: { local: toHex(addressOf(sealers.local)), global: toHex(addressOf(sealers.global)) },
  };
  await writeJson(join(config, 'public.json'), facts);
  await handOver(secrets);
  await handOver(config);
  return facts;
}

/**
 * Writes one hospital's part of the consortium: geneses, the transactions that found its ledgers, networks.json, peers.json. All of it
 * follows from the founders' public facts, so each hospital makes it for itself, and comes to the same global network.
 * @param files public.json of every founder, this hospital's among them
 * @param chainId of the global network; the local ones add the hospital's number
 * @returns what the founders hold against each other
 * @throws Error naming what doesn't fit
 */
export async function joinFounders(
  dir: string,
  slug: string,
  files: readonly string[],
  chainId: number,
): Promise<{ globalGenesis: string; globalLedger: string }> {
  const founders = await Promise.all(files.map(readFacts));
  founders.sort((a, b) => a.id - b.id);
  for (const name of ['id', 'slug', 'peerUrl', 'identityKey', 'registrar'] as const) {
    if (new Set(founders.map((facts) => facts[name])).size !== founders.length)
      throw new Error(`two founders have the same ${name}`);
  }
  const own = founders.find((facts) => facts.slug === slug);
  if (!own) throw new Error(`none of these files is that of ${slug}`);
  const config = configOf(dir, slug);
  const local = await writeNetwork(config, 'local', own, [own], chainId + own.id);
  const global = await writeNetwork(config, 'global', own, founders, chainId);
  await writeJson(join(config, 'networks.json'), { local: 'local', global: 'global', networks: [local, global] });
  const others = founders.filter((facts) => facts !== own).map(({ id, peerUrl }) => [String(id), { url: peerUrl }]);
  await writeJson(join(config, 'peers.json'), { hospitals: Object.fromEntries(others) });
  await handOver(config);
  return { globalGenesis: global.genesisHash, globalLedger: global.contract };
}

/** Genesis and founding transaction of a network. @returns its entry in networks.json */
async function writeNetwork(
  config: string,
  tier: 'local' | 'global',
  own: FounderFacts,
  founders: FounderFacts[],
  chainId: number,
) {
  const period = tier === 'local' ? 0 : 1;
  const genesis: Genesis = cliqueGenesis({
    chainId,
    period,
    signers: founders.map(({ sealers }) => sealers[tier]),
  });
  const entries = founders.map((facts) => foundingEntry({ id: facts.id, peerUrl: facts.peerUrl, keys: facts }, tier));
  const founding = foundingOf(chainId, entries, Math.floor(founders.length / 2) + 1);
  await writeJson(join(config, `genesis-${tier}.json`), genesis);
  await writeJson(join(config, `ledger-${tier}.json`), founding);
  return {
    ...{ name: tier, chainId: String(chainId), rpc: `/ipc/${tier}.ipc`, gasLimit: GAS_LIMIT },
    ...{ contract: founding.contract, startBlock: '0', genesisHash: genesisHash(genesis) },
    // An honest minority of the signers can build at most half their number of blocks. One signer alone: its block is final.
    finalityDepth: tier === 'local' ? 1 : founders.length + 1,
    ...(period > 0 ? { period } : {}),
    storeRawBlocks: true,
    relayers: [own.relayers[tier]],
  };
}

async function readFacts(file: string): Promise<FounderFacts> {
  const result = publicFacts.safeParse(JSON.parse(await readFile(file, 'utf8')));
  if (result.success) return result.data;
  const said = result.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`).join('; ');
  throw new Error(`${file} is no hospital's public.json: ${said}`);
}

/** 192 bits, in letters that need no escaping anywhere. */
const newSecret = () => randomBytes(24).toString('base64url');

function writeNew(file: string, text: string, mode: number): Promise<void> {
  return writeFile(file, text, { mode, flag: 'wx' });
}

async function writeJson(file: string, value: unknown): Promise<void> {
  await writeFile(`${file}.tmp`, `${JSON.stringify(value, null, 2)}\n`, { mode: 0o600 });
  await rename(`${file}.tmp`, file);
}

/** Gives the files to the users that the containers run as, where we may. */
async function handOver(folder: string): Promise<void> {
  if (process.getuid?.() !== 0) return;
  const entries = await readdir(folder, { recursive: true });
  for (const name of entries) {
    const uid = /^postgres-\w+-password$/.test(name) ? POSTGRES_UID : PROGRAM_UID;
    await chown(join(folder, name), uid, uid);
  }
  await chown(folder, PROGRAM_UID, PROGRAM_UID);
}
