import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DataSource } from 'typeorm';
import { createDataSource } from '../../libs/database/src/data-source.js';
import { createVault, type Vault } from '../../libs/vault/src/vault.js';
import { freshDatabase, type TestDatabase } from './database.js';

/** What stores and services stand on, without HTTP and without a chain. */
export interface TestStorage {
  database: TestDatabase;
  /** As the gateway's role. */
  gateway: DataSource;
  /** As the indexer's role. */
  mirror: DataSource;
  vault: Vault;
  close(): Promise<void>;
}

/** A database of its own, connected as both roles, and a vault. */
export async function testStorage(): Promise<TestStorage> {
  const database = await freshDatabase();
  const connect = (url: string) => createDataSource({ url, applicationName: 'test' }).initialize();
  const [gateway, mirror] = [await connect(database.gatewayUrl), await connect(database.mirrorUrl)];
  const directory = await mkdtemp(join(tmpdir(), 'emr-test-vault-'));
  const vault = await createVault(directory, 'only for tests', 2 ** 10);
  return {
    database,
    gateway,
    mirror,
    vault,
    async close() {
      await gateway.destroy();
      await mirror.destroy();
      await database.drop();
      await rm(directory, { recursive: true, force: true });
    },
  };
}
