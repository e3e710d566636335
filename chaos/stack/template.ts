import { existsSync } from 'node:fs';
import { cp, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { encryptKeystoreJson } from 'ethers';
import type { GethBinary } from '../../deploy/geth/binary.js';
import { deployLedger } from '../../deploy/geth/deploy-ledger.js';
import type { Logger } from '../../deploy/geth/program.js';
import { foundingEntry } from '../../deploy/hospital-keys.js';
import { Latencies } from '../../deploy/local/demo/client.js';
import { introduce, peopleOf } from '../../deploy/local/demo/people.js';
import { createHospitalDatabase, type PostgresServer } from '../../deploy/local/postgres.js';
import { keyFiles, type PublicFacts, peerUrl, provisionHospital } from '../../deploy/local/provision.js';
import { readKeystore } from '../../libs/chain-client/src/keys/keystore.js';
import { addressOf } from '../../libs/chain-client/src/keys/secp256k1.js';
import { migrate } from '../../libs/database/src/migrate.js';
import { fromHex, toHex } from '../../libs/platform/src/bytes.js';
import { rotateVault } from '../../libs/vault/src/vault.js';
import { openAll } from '../client/load.js';
import { User } from '../client/user.js';
import { databaseFrom, dropDatabase, renameDatabase } from './database.js';
import { CHAIN_ID, type ChaosLayout, type NetworkKind } from './layout.js';
import { startNodes } from './nodes.js';
import { startPrograms, writeNetworks } from './programs.js';

/** What every run on one kind of network begins with. */
export interface Template {
  contract: string;
  startBlock: string;
  /** records that are open, with their content in base64 */
  records: Record<string, string>;
}

export const CANARY = 'Zaunkoenigin';
/** Idempotency-Keys of the opens. */
export const templateKeys = ['record-0', 'record-1', 'record-2', 'record-3'];

export interface TemplateContext {
  layout: ChaosLayout;
  postgres: PostgresServer;
  geth: GethBinary;
  logger: Logger;
}

/**
 * A hospital with its ledger, users, actors and four open records, made once for each kind of network and then copied: folder and
 * database. Keys are stretched little, or every start of a gateway would take seconds.
 */
export async function templateOf(context: TemplateContext, kind: NetworkKind): Promise<Template> {
  const { layout, logger } = context;
  const file = join(layout.template(kind), 'template.json');
  if (existsSync(file)) return JSON.parse(await readFile(file, 'utf8'));
  logger.info(`preparing a hospital on a network of kind ${kind}`);
  await rm(layout.run, { recursive: true, force: true });
  const { hospital } = layout;
  const facts = await provisionHospital(hospital);
  await cheapenKeys(hospital.keys, keyFiles(hospital).passphrase);
  await dropDatabase(context.postgres, hospital.database); // of a run before
  const database = await createHospitalDatabase(context.postgres, hospital.database);
  await migrate(database.ownerUrl, () => undefined);
  const nodes = await startNodes({ ...context, kind, facts });
  let template: Template;
  try {
    const entry = foundingEntry({ id: hospital.id, peerUrl: peerUrl(hospital), keys: facts }, 'local');
    // A second relayer, held by the harness: it can take the first one's right away, and give it back.
    const relayers = [...entry.relayers, fromHex(facts.relayers.global, 20)];
    const { contract, startBlock } = await deployLedger({
      ...{ ipcPath: nodes.ipcPath, chainId: CHAIN_ID, hospitals: [{ ...entry, relayers }], threshold: 1 },
    });
    const ledger = { contract, startBlock: String(startBlock) };
    const networks = await writeNetworks({ layout, kind, facts, ledger, nodes, rpc: () => nodes.ipcPath });
    const programs = await startPrograms({ ...context, database, networks, queueUrl: undefined, replicas: 1 });
    try {
      template = { ...ledger, records: await openRecords(layout) };
    } finally {
      await programs.stop();
    }
  } finally {
    await nodes.stop();
  }
  await renameDatabase(context.postgres, hospital.database, databaseOf(kind));
  await mkdir(layout.template(kind), { recursive: true });
  await rename(layout.run, join(layout.template(kind), 'run'));
  await writeFile(file, JSON.stringify(template));
  return template;
}

/** Puts folder and database of the template in place. */
export async function restoreTemplate(context: TemplateContext, kind: NetworkKind) {
  const { layout, postgres } = context;
  const template = await templateOf(context, kind);
  await rm(layout.run, { recursive: true, force: true });
  await cp(join(layout.template(kind), 'run'), layout.run, { recursive: true, preserveTimestamps: true });
  const database = await databaseFrom(postgres, databaseOf(kind), layout.hospital.database);
  const facts: PublicFacts = JSON.parse(await readFile(keyFiles(layout.hospital).facts, 'utf8'));
  return { template, database, facts };
}

const databaseOf = (kind: NetworkKind) => `template_${kind}`;

async function cheapenKeys(dir: string, passphraseFile: string): Promise<void> {
  const passphrase = (await readFile(passphraseFile, 'utf8')).trim();
  await rotateVault(dir, passphrase, {}, 2 ** 10);
  for (const name of ['relayer-local.json', 'relayer-global.json', 'registrar.json']) {
    const key = await readKeystore(join(dir, name), passphrase);
    const account = { address: toHex(addressOf(key)), privateKey: toHex(key) };
    const json = await encryptKeystoreJson(account, passphrase, { scrypt: { N: 1024, r: 8, p: 1 } });
    await writeFile(join(dir, name), json, { mode: 0o600 });
  }
}

/** The demo's users, those who act registered as actors; a few records to look at. */
export async function introduceUsers(layout: ChaosLayout): Promise<Record<string, string>> {
  const { hospital } = layout;
  const passwords: Record<string, string> = JSON.parse(await readFile(keyFiles(hospital).demoUsers, 'utf8'));
  const reachable = { layout: hospital, api: `http://127.0.0.1:${hospital.ports.api}`, passwords };
  await introduce(reachable, peopleOf(reachable, new Latencies(), new AbortController().signal));
  return passwords;
}

async function openRecords(layout: ChaosLayout): Promise<Record<string, string>> {
  const passwords = await introduceUsers(layout);
  const api = `http://127.0.0.1:${layout.hospital.ports.api}`;
  const user = (name: string) => new User(api, name, passwords[name] ?? '');
  const load = await openAll(templateKeys, { user, canary: CANARY });
  if (load.wrong.length > 0) throw new Error(load.wrong.join('; '));
  return Object.fromEntries([...load.opened].map(([id, bytes]) => [id, bytes.toString('base64')]));
}
