import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { createGateway, type Gateway } from '../../apps/gateway/src/app.setup.js';
import { gatewayEnv } from '../../apps/gateway/src/gateway.env.js';
import { Metrics } from '../../apps/gateway/src/management/metrics.js';
import { IndexerMetrics } from '../../apps/indexer/src/health/metrics.js';
import { IndexerService } from '../../apps/indexer/src/indexer.service.js';
import { freePort } from '../../deploy/geth/ports.js';
import { writeKeystore } from '../../libs/chain-client/src/keys/keystore.js';
import { parseEnv } from '../../libs/platform/src/env.js';
import { createLogger } from '../../libs/platform/src/logger.js';
import { readNetworks } from '../../libs/platform/src/networks.js';
import { createVault, type Vault } from '../../libs/vault/src/vault.js';
import { startTestChain, type TestChain, type TestHospital, testHospital } from '../stack/chain.js';
import { freshDatabase, type TestDatabase } from '../stack/database.js';

const PASSPHRASE = 'only for tests';
const ISSUER = 'https://issuer.test/';
const AUDIENCE = 'emr-gateway';

/** One hospital: gateway and indexer in this process, database, a local ledger of its own and its part in the global one. */
export interface Hospital {
  id: number;
  url: string;
  database: TestDatabase;
  vault: Vault;
  log: { msg: string; [field: string]: unknown }[];
  /** What /metrics shows. */
  metrics(): Promise<string>;
  /** Calls the API as `subject`. */
  call(
    subject: string,
    roles: string[],
    method: string,
    path: string,
    body?: unknown,
    headers?: object,
  ): Promise<Answer>;
  /** Registers an actor on both ledgers, its key kept by the gateway. */
  register(subject: string, roles: string[]): Promise<void>;
  /** Uploads content and opens a record. @returns its id */
  open(subject: string, patient: string, content: unknown): Promise<string>;
  stopGateway(): Promise<void>;
  startGateway(): Promise<void>;
  stopIndexer(): Promise<void>;
  startIndexer(): void;
  /** The node and the keys of its own ledger, and of its part in the shared one. */
  local: TestChain;
  global: SharedLedger;
  founder: TestHospital;
}

export interface Answer {
  status: number;
  headers: Headers;
  // biome-ignore lint/suspicious/noExplicitAny: bodies of many shapes, looked into by tests
  body: any;
  text: string;
}

export interface Hospitals {
  a: Hospital;
  b: Hospital;
  /** RPC of each node. */
  ledgers: string[];
  close(): Promise<void>;
}

export interface HospitalsOptions {
  /** One ledger is everything to both. */
  single?: boolean;
  /** Relayers have funds on the shared ledger. */
  funded?: boolean;
  /** What the shared ledger stands on; default: one node. */
  global?(founders: TestHospital[]): Promise<SharedLedger>;
  /** On top of what every gateway is told. */
  env?: Record<string, string>;
  /** `relayers` in the networks file; default: none, and a keystore for each tier. */
  relayers?(hospital: TestHospital, chainId: number): Promise<unknown[]>;
}

export interface SharedLedger
  extends Pick<TestChain, 'rpcUrl' | 'chainId' | 'contract' | 'startBlock' | 'genesisHash' | 'stop'> {
  /** default 1 */
  finalityDepth?: number;
  period?: number;
}

/** Two hospitals on real ledgers: a local one each and a shared one. */
export async function startHospitals(options: HospitalsOptions = {}): Promise<Hospitals> {
  const keys = [await prepare(1, options), await prepare(2, options)] as const;
  const founding = keys.map(({ founder }) => founder);
  const global: SharedLedger =
    (await options.global?.(founding)) ??
    (await startTestChain({ hospitals: founding, chainId: 720_000, funded: options.funded ?? false }));
  const locals = options.single
    ? [global as TestChain, global as TestChain]
    : await Promise.all(founding.map((founder, i) => startTestChain({ hospitals: [founder], chainId: 720_001 + i })));
  const urls = Object.fromEntries(keys.map(({ id, peerUrl }) => [id, { url: peerUrl }]));
  const hospitals = await Promise.all(keys.map((key, i) => startHospital(key, locals[i]!, global, urls, options)));
  return {
    a: hospitals[0]!.hospital,
    b: hospitals[1]!.hospital,
    ledgers: [...new Set([global, ...locals])].map(({ rpcUrl }) => rpcUrl),
    async close() {
      for (const { close } of hospitals) await close();
      for (const chain of new Set([global, ...locals])) await chain.stop();
    },
  };
}

interface Prepared {
  id: number;
  directory: string;
  vault: Vault;
  peerPort: number;
  peerUrl: string;
  founder: TestHospital;
}

/** Keys and peer address first: the registry vouches for them. */
async function prepare(id: number, { relayers }: HospitalsOptions): Promise<Prepared> {
  const directory = await mkdtemp(join(tmpdir(), `emr-hospital-${id}-`));
  const vault = await createVault(directory, PASSPHRASE, 1024);
  const peerPort = await freePort();
  const peerUrl = `http://127.0.0.1:${peerPort}`;
  const founder = testHospital(id);
  Object.assign(founder.entry, {
    identityKey: vault.identityPublicKey,
    transferKey: vault.transferKey.publicKey,
    transferKeyId: vault.transferKey.id,
    endpointHash: createHash('sha256').update(peerUrl).digest(),
  });
  await writeKeystore(join(directory, 'registrar.json'), founder.registrarKey, PASSPHRASE);
  for (const tier of relayers === undefined ? ['local', 'global'] : []) {
    await writeKeystore(join(directory, `relayer-${tier}.json`), founder.relayerKeys[0]!, PASSPHRASE);
  }
  return { id, directory, vault, peerPort, peerUrl, founder };
}

async function startHospital(
  { id, directory, vault, peerPort, founder }: Prepared,
  local: TestChain,
  global: SharedLedger,
  peers: Record<string, { url: string }>,
  options: HospitalsOptions,
): Promise<{ hospital: Hospital; close(): Promise<void> }> {
  const file = (name: string) => join(directory, name);
  const database = await freshDatabase();
  const issuerKey = await generateKeyPair('ES256');
  const roles = ['clinician', 'records-officer', 'privacy-officer', 'patient', 'admin', 'auditor'];
  const jwks = { keys: [{ ...(await exportJWK(issuerKey.publicKey)), kid: 'test', alg: 'ES256' }] };
  const describe = async (name: string, chain: SharedLedger) => ({
    name,
    chainId: String(chain.chainId),
    rpc: chain.rpcUrl,
    contract: chain.contract,
    startBlock: String(chain.startBlock),
    genesisHash: chain.genesisHash,
    finalityDepth: chain.finalityDepth ?? 1,
    ...(chain.period === undefined ? {} : { period: chain.period }),
    relayers: (await options.relayers?.(founder, chain.chainId)) ?? [],
  });
  const networks =
    local === global
      ? { local: 'shared', global: 'shared', networks: [await describe('shared', global)] }
      : {
          local: 'local',
          global: 'global',
          networks: [await describe('local', local), await describe('global', global)],
        };
  await writeFile(file('networks.json'), JSON.stringify(networks));
  await writeFile(file('peers.json'), JSON.stringify({ hospitals: peers }));
  await writeFile(file('issuers.json'), JSON.stringify([{ issuer: ISSUER, jwks, hospital: id, roles }]));
  await writeFile(file('passphrase'), PASSPHRASE);
  const env = parseEnv(gatewayEnv, {
    HOSPITAL_ID: String(id),
    HOSPITAL_SLUG: `hospital-${id}`,
    PORT: '0',
    PEER_PORT: String(peerPort),
    MANAGEMENT_PORT: '0',
    DATABASE_URL: database.gatewayUrl,
    DATABASE_POOL: '6',
    NETWORKS_FILE: file('networks.json'),
    PEERS_FILE: file('peers.json'),
    ISSUERS_FILE: file('issuers.json'),
    KEYSTORE_DIR: directory,
    KEYSTORE_PASSPHRASE_FILE: file('passphrase'),
    LOG_LEVEL: 'info',
    // An anchor is an event of its own, and comes when it comes: only for tests that are about it.
    ANCHOR_SECONDS: '86400',
    ...options.env,
  });
  const log: Hospital['log'] = [];
  const logger = createLogger('gateway', 'info', { write: (line) => void log.push(JSON.parse(line)) });
  let indexer: IndexerService | undefined;
  let gateway: Gateway | undefined;
  let keyNumber = 0;

  const hospital: Hospital = {
    id,
    url: '',
    database,
    vault,
    log,
    ...{ local, global, founder },
    metrics: async () => gateway?.app.get(Metrics).registry.metrics() ?? '',
    async startGateway() {
      gateway = await createGateway(env, logger);
      await gateway.app.listen(0, '127.0.0.1');
      hospital.url = `http://127.0.0.1:${(gateway.app.getHttpServer().address() as AddressInfo).port}`;
    },
    async stopGateway() {
      await gateway?.app.close();
      gateway = undefined;
    },
    startIndexer() {
      indexer = new IndexerService(database.mirrorUrl, readNetworks(file('networks.json')), new IndexerMetrics());
      indexer.onApplicationBootstrap();
    },
    async stopIndexer() {
      await indexer?.onApplicationShutdown();
      indexer = undefined;
    },
    async call(subject, as, method, path, body, headers = {}) {
      const raw = Buffer.isBuffer(body);
      const response = await fetch(`${hospital.url}${path}`, {
        method,
        headers: {
          authorization: `Bearer ${await token(subject, as)}`,
          ...(method === 'POST' ? { 'idempotency-key': `key-${id}-${++keyNumber}`, prefer: 'wait=20' } : {}),
          ...(body === undefined ? {} : { 'content-type': raw ? 'application/fhir+json' : 'application/json' }),
          ...headers,
        },
        ...(body === undefined ? {} : { body: raw ? new Uint8Array(body) : JSON.stringify(body) }),
        signal: AbortSignal.timeout(40_000),
      });
      const text = await response.text();
      const unfinished = response.status === 202 && (headers as { prefer?: string }).prefer !== 'wait=0';
      if (response.status === 500 || unfinished)
        console.error(
          log
            .map((line) => JSON.stringify(line).slice(0, 700))
            .slice(-12)
            .join('\n'),
        );
      const json = /[/+]json\b/.test(response.headers.get('content-type') ?? '');
      return { status: response.status, headers: response.headers, text, body: json ? JSON.parse(text) : text };
    },
    async register(subject, as) {
      const registration = { issuer: ISSUER, subject, roles: as };
      expectStatus(await hospital.call('admin.x', ['admin'], 'POST', '/v1/admin/actors', registration), 201);
    },
    async open(subject, patient, content) {
      const bytes = Buffer.from(JSON.stringify(content));
      const uploaded = await hospital.call(subject, ['clinician'], 'POST', '/v1/contents', bytes);
      const { contentId } = expectStatus(uploaded, 201).body;
      const identifier = { system: `urn:hospital-${id}:mrn`, value: patient };
      const opened = await hospital.call(subject, ['clinician'], 'POST', '/v1/emrs', {
        patient: { identifier },
        contentId,
      });
      return expectStatus(opened, 201).body.recordId;
    },
  };
  async function token(subject: string, as: string[]): Promise<string> {
    const now = Math.floor(Date.now() / 1000);
    const claims = { client_id: 'test', hospital: id, roles: as };
    return new SignJWT(claims)
      .setProtectedHeader({ alg: 'ES256', kid: 'test' })
      .setIssuer(ISSUER)
      .setSubject(subject)
      .setAudience(AUDIENCE)
      .setIssuedAt(now)
      .setExpirationTime(now + 600)
      .setJti(crypto.randomUUID())
      .sign(issuerKey.privateKey);
  }
  hospital.startIndexer();
  await hospital.startGateway();
  return {
    hospital,
    async close() {
      await hospital.stopGateway();
      await hospital.stopIndexer();
      await database.drop();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** The answer, when it has this status. @throws Error with the answer's text otherwise */
export function expectStatus(answer: Answer, status: number): Answer {
  if (answer.status !== status)
    throw new Error(`answered ${answer.status} where ${status} was expected: ${answer.text}`);
  return answer;
}
