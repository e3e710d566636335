import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { IndexerMetrics } from '../../apps/indexer/src/health/metrics.js';
import { IndexerService } from '../../apps/indexer/src/indexer.service.js';
import { LedgerLoad } from '../../apps/indexer/test/ledger-load.js';
import { readNetworks } from '../../libs/platform/src/networks.js';
import { Vault } from '../../libs/vault/src/vault.js';
import { main } from '../../verifier/main.mjs';
import { startTestChain, type TestChain } from './chain.js';
import { type TestGateway, testGateway } from './gateway.js';

/** A ledger on a real node with acts on it, mirrored, behind a real gateway: what an auditor and a patient deal with. */
export interface AuditedLedger {
  chain: TestChain;
  load: LedgerLoad;
  gateway: TestGateway;
  /** Of the hospital's identity key, 0x-hex. */
  identityKey: string;
  /** Answers once the mirror has everything that is mined. */
  mirrored(): Promise<void>;
  /** GET or POST as `roles`, of one subject for each set of roles. */
  call(roles: string[], path: string, body?: unknown): Promise<{ status: number; headers: Headers; text: string }>;
  /** Runs emr-verify on texts. @returns exit code and what it printed */
  verify(
    command: string,
    texts: string[],
    trust: string[],
    options?: string[],
  ): Promise<{ code: number; output: string }>;
  close(): Promise<void>;
}

/** @param acts how many records to open */
export async function startAuditedLedger(records: number): Promise<AuditedLedger> {
  const directory = await mkdtemp(join(tmpdir(), 'emr-audited-'));
  const file = (name: string) => join(directory, name);
  const chain = await startTestChain();
  const networks = {
    local: 'local',
    global: 'local',
    networks: [
      {
        name: 'local',
        chainId: String(chain.chainId),
        rpc: chain.rpcUrl,
        contract: chain.contract,
        startBlock: String(chain.startBlock),
        genesisHash: chain.genesisHash,
        finalityDepth: 1,
      },
    ],
  };
  await writeFile(file('networks.json'), JSON.stringify(networks));
  const gateway = await testGateway({ networks, env: { RATE_LIMIT_PER_MINUTE: '1000000' } });
  const indexer = new IndexerService(
    gateway.database.mirrorUrl,
    readNetworks(file('networks.json')),
    new IndexerMetrics(),
  );
  indexer.onApplicationBootstrap();
  const load = new LedgerLoad({ ...chain, relayerKey: chain.relayerKeys[0] as Buffer });

  const ledger: AuditedLedger = {
    chain,
    load,
    gateway,
    identityKey: `0x${gateway.app.get(Vault).identityPublicKey.toString('hex')}`,
    async mirrored() {
      const head = String(BigInt(await load.request<string>('eth_blockNumber')));
      for (;;) {
        const { text } = await ledger.call(['auditor'], '/v1/audit/integrity');
        if (JSON.parse(text).networks[0]?.finalThrough === head) return;
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    },
    async call(roles, path, body) {
      const response = await fetch(`${gateway.url}${path}`, {
        method: body === undefined ? 'GET' : 'POST',
        headers: {
          authorization: `Bearer ${await gateway.token(`somebody.${roles.join('.')}`, roles)}`,
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      return { status: response.status, headers: response.headers, text: await response.text() };
    },
    async verify(command, texts, trust, options = []) {
      const files = texts.map((_, index) => file(`${command}-${index}`));
      await Promise.all(texts.map((text, index) => writeFile(files[index]!, text)));
      const lines: string[] = [];
      const trusted = trust.flatMap((value) => ['--trust', value]);
      const code = await main([command, ...files, ...trusted, ...options], (line: string) => void lines.push(line));
      return { code, output: lines.join('\n') };
    },
    async close() {
      await load.close();
      await gateway.close();
      await indexer.onApplicationShutdown();
      await chain.stop();
      await rm(directory, { recursive: true, force: true });
    },
  };
  await load.prepare(records);
  return ledger;
}
