import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { createGateway, type Gateway } from '../../apps/gateway/src/app.setup.js';
import { gatewayEnv } from '../../apps/gateway/src/gateway.env.js';
import { writeKeystore } from '../../libs/chain-client/src/keys/keystore.js';
import { newKey } from '../../libs/chain-client/src/keys/secp256k1.js';
import { parseEnv } from '../../libs/platform/src/env.js';
import { createLogger } from '../../libs/platform/src/logger.js';
import { createVault } from '../../libs/vault/src/vault.js';
import { freshDatabase, type TestDatabase } from './database.js';

const PASSPHRASE = 'only for tests';
export const TEST_ISSUER = 'https://issuer.test';
export const TEST_AUDIENCE = 'emr-gateway';

export interface TokenOptions {
  /** Claims that replace the usual ones; undefined leaves one out. */
  claims?: Record<string, unknown>;
  header?: Record<string, unknown>;
  /** Signs with a key the issuer doesn't have. */
  forged?: boolean;
}

export interface TestGateway extends Gateway {
  url: string;
  database: TestDatabase;
  directory: string;
  /** Lines of the log so far. */
  log: string[];
  token(subject: string, roles: string[], options?: TokenOptions): Promise<string>;
  close(): Promise<void>;
}

export interface TestGatewayOptions {
  /** Environment variables over the usual ones. */
  env?: Record<string, string>;
  /** Entries of ISSUERS_FILE besides the test issuer. */
  issuers?: unknown[];
  /** Content of NETWORKS_FILE; default: one network whose node isn't there. */
  networks?: unknown;
}

const unreachableNetwork = {
  local: 'local',
  global: 'local',
  networks: [
    {
      name: 'local',
      chainId: '777001',
      rpc: '/nonexistent/geth.ipc',
      contract: `0x${'11'.repeat(20)}`,
      genesisHash: `0x${'22'.repeat(32)}`,
      finalityDepth: 1,
    },
  ],
};

/** The real gateway on a fresh database and keystore, listening on a free port; for everything that needs no chain. */
export async function testGateway(options: TestGatewayOptions = {}): Promise<TestGateway> {
  const directory = await mkdtemp(join(tmpdir(), 'emr-test-gateway-'));
  const file = (name: string) => join(directory, name);
  const database = await freshDatabase();
  const good = await generateKeyPair('ES256');
  const other = await generateKeyPair('ES256');
  await createVault(directory, PASSPHRASE, 1024);
  for (const name of ['registrar', 'relayer-local', 'relayer-global']) {
    await writeKeystore(file(`${name}.json`), newKey(), PASSPHRASE);
  }
  const issuer = {
    issuer: TEST_ISSUER,
    jwks: { keys: [{ ...(await exportJWK(good.publicKey)), kid: 'test', alg: 'ES256' }] },
    hospital: 1,
    roles: ['clinician', 'records-officer', 'privacy-officer', 'patient', 'admin', 'auditor'],
  };
  await writeFile(file('passphrase'), PASSPHRASE);
  await writeFile(file('issuers.json'), JSON.stringify([issuer, ...(options.issuers ?? [])]));
  await writeFile(file('networks.json'), JSON.stringify(options.networks ?? unreachableNetwork));
  const log: string[] = [];
  const env = parseEnv(gatewayEnv, {
    HOSPITAL_ID: '1',
    HOSPITAL_SLUG: 'hospital-a',
    PORT: '0',
    PEER_PORT: '0',
    MANAGEMENT_PORT: '0',
    DATABASE_URL: database.gatewayUrl,
    NETWORKS_FILE: file('networks.json'),
    ISSUERS_FILE: file('issuers.json'),
    KEYSTORE_DIR: directory,
    KEYSTORE_PASSPHRASE_FILE: file('passphrase'),
    LOG_LEVEL: 'info',
    ...options.env,
  });
  const gateway = await createGateway(
    env,
    createLogger('gateway', env.LOG_LEVEL, { write: (line) => void log.push(line) }),
  );
  await gateway.app.listen(0, '127.0.0.1');
  const { port } = gateway.app.getHttpServer().address() as AddressInfo;
  return {
    ...gateway,
    url: `http://127.0.0.1:${port}`,
    database,
    directory,
    log,
    async token(subject, roles, { claims, header, forged } = {}) {
      const now = Math.floor(Date.now() / 1000);
      const payload = {
        iss: TEST_ISSUER,
        sub: subject,
        aud: TEST_AUDIENCE,
        iat: now,
        exp: now + 600,
        jti: crypto.randomUUID(),
        client_id: 'test',
        hospital: 1,
        roles,
        ...claims,
      };
      return new SignJWT(JSON.parse(JSON.stringify(payload)))
        .setProtectedHeader({ alg: 'ES256', kid: 'test', ...header })
        .sign(forged ? other.privateKey : good.privateKey);
    },
    async close() {
      await gateway.app.close();
      await database.drop();
      await rm(directory, { recursive: true, force: true });
    },
  };
}
