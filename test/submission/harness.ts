import { randomBytes } from 'node:crypto';
import pg from 'pg';
import type { DataSource } from 'typeorm';
import { NetworkRunner } from '../../apps/indexer/src/follow/network.runner.js';
import { RpcSource } from '../../apps/indexer/src/follow/rpc-source.js';
import { IndexerMetrics } from '../../apps/indexer/src/health/metrics.js';
import { addressOf, newKey, signDigest } from '../../libs/chain-client/src/keys/secp256k1.js';
import { localSigner } from '../../libs/chain-client/src/keys/signer.js';
import { connectRpc } from '../../libs/chain-client/src/rpc/transport.js';
import type { NewOperation } from '../../libs/chain-client/src/submission/operation.types.js';
import {
  createSubmission,
  type Submission,
  type SubmissionSettings,
} from '../../libs/chain-client/src/submission/submission.js';
import { domainSeparator, intentDigest } from '../../libs/contracts/src/intent.codec.js';
import { Operation, Role } from '../../libs/contracts/src/operations.js';
import { parameters } from '../../libs/contracts/src/parameters.js';
import { createDataSource } from '../../libs/database/src/data-source.js';
import { fromHex } from '../../libs/platform/src/bytes.js';
import { createLogger } from '../../libs/platform/src/logger.js';
import type { NetworkConfig } from '../../libs/platform/src/networks.js';
import { startTestChain, type TestChain } from '../stack/chain.js';
import { freshDatabase, type TestDatabase } from '../stack/database.js';

export const HOSPITAL = 1;
export const NETWORK = 'local';

/** A ledger on a real node, a database, the indexer between them, and an actor who may act. */
export interface Bench {
  chain: TestChain;
  database: TestDatabase;
  /** As the gateway's role. */
  dataSource: DataSource;
  network: NetworkConfig;
  logged: { level: number; msg: string; alarm?: boolean; [field: string]: unknown }[];
  /** A submission over this bench; stopped with it. */
  submission(overrides?: Partial<SubmissionSettings>): Promise<Submission>;
  /** A clinician who opened a record; `query` makes acts on it. */
  clinician(submission: Submission, settle?: Settle): Promise<Clinician>;
  act(intent: ActIntent): NewOperation;
  events(): Promise<{ sequence: bigint; requestId: string; type: string }[]>;
  /** A statement as superuser: for tests that put words into the mirror's mouth. */
  asMirror(sql: string, values: unknown[]): Promise<void>;
  startMirror(): void;
  stopMirror(): Promise<void>;
  stop(): Promise<void>;
}

export interface ActIntent {
  code: number;
  recordId?: Buffer;
  parameters: Buffer;
  key: Buffer;
  requestId?: Buffer;
  bodyHash?: Buffer;
  deadline?: number;
  /** Signed by this key instead: the ledger must notice. */
  forgedBy?: Buffer;
}

export interface Clinician {
  key: Buffer;
  recordId: Buffer;
  query(requestId?: Buffer): NewOperation;
}

/** A chain that is there already, and this hospital's place on it. */
export interface BenchPlace {
  chain: TestChain;
  hospital: number;
  finalityDepth: number;
}

export async function startBench(
  options: Parameters<typeof startTestChain>[0] = {},
  place?: BenchPlace,
): Promise<Bench> {
  const [chain, database] = await Promise.all([place?.chain ?? startTestChain(options), freshDatabase()]);
  const hospital = place?.hospital ?? HOSPITAL;
  const network: NetworkConfig = {
    name: NETWORK,
    chainId: BigInt(chain.chainId),
    rpc: chain.rpcUrl,
    contract: fromHex(chain.contract),
    startBlock: chain.startBlock,
    genesisHash: fromHex(chain.genesisHash),
    finalityDepth: place?.finalityDepth ?? 1,
    gasLimit: 60_000_000,
    storeRawBlocks: false,
    relayers: [],
  };
  const dataSource = createDataSource({ url: database.gatewayUrl, applicationName: 'test-gateway' });
  await dataSource.initialize();
  const submissions: Submission[] = [];
  let clinicians = 0;
  const domain = domainSeparator(network.chainId, network.contract);
  const logged: Bench['logged'] = [];
  const logger = createLogger('test', 'info', { write: (line) => void logged.push(JSON.parse(line)) });
  let mirror: Awaited<ReturnType<typeof runMirror>> | undefined;

  const bench: Bench = {
    chain,
    database,
    dataSource,
    network,
    logged,
    async submission(overrides = {}) {
      const submission = createSubmission({
        dataSource,
        databaseUrl: database.gatewayUrl,
        queueUrl: database.gatewayUrl,
        hospitalId: hospital,
        networks: [network],
        signers: { [NETWORK]: chain.relayerKeys.map(localSigner) },
        logger,
        sweepMs: 200,
        limits: { resendAfterMs: 500 },
        ...overrides,
      });
      submissions.push(submission);
      await submission.start();
      return submission;
    },
    act(intent) {
      const unsigned = {
        operation: intent.code,
        requestId: intent.requestId ?? randomBytes(32),
        recordId: intent.recordId ?? Buffer.alloc(32),
        parameters: intent.parameters,
        actor: addressOf(intent.key),
        deadline: intent.deadline ?? Math.floor(Date.now() / 1000) + 7 * 86_400,
        authContext: randomBytes(32),
      };
      return {
        network: NETWORK,
        requestId: unsigned.requestId,
        bodyHash: intent.bodyHash ?? Buffer.alloc(32, 1),
        principal: Buffer.alloc(32, 2),
        type: 'test',
        code: intent.code,
        actor: unsigned.actor,
        recordId: unsigned.recordId,
        parameters: unsigned.parameters,
        deadline: unsigned.deadline,
        authContext: unsigned.authContext,
        signature: signDigest(intent.forgedBy ?? intent.key, intentDigest(domain, unsigned)),
      };
    },
    async clinician(submission, settle = perform) {
      const key = newKey();
      // Several signers share the records by their last two bytes: counted, so that each signer has some.
      const recordId = Buffer.concat([Buffer.from([0, 0, 0, hospital]), randomBytes(28)]);
      recordId.writeUInt16BE(clinicians, 30);
      clinicians += 1;
      await settle(
        submission,
        bench.act({
          code: Operation.REGISTER_ACTOR,
          parameters: parameters.registerActor({ account: addressOf(key), roles: Role.CLINICIAN, custody: 0 }),
          key: chain.registrarKey,
        }),
      );
      const content = { contentHash: randomBytes(32), subject: addressOf(newKey()), level: 1 };
      const origin = { origin: Buffer.alloc(32), originBlock: Buffer.alloc(32) };
      const opened = bench.act({
        code: Operation.OPEN,
        recordId,
        parameters: parameters.open({ ...content, ...origin }),
        key,
      });
      await settle(submission, opened);
      const look = parameters.query({ version: 1, purpose: 1, ttl: 300, basis: Buffer.alloc(32) });
      return {
        key,
        recordId,
        query: (requestId) =>
          bench.act({ code: Operation.QUERY, recordId, parameters: look, key, ...(requestId ? { requestId } : {}) }),
      };
    },
    async events() {
      const rows: { sequence: string; request_id: Buffer; type: string }[] = await dataSource.query(
        'SELECT sequence, request_id, type FROM mirror.emr_event WHERE network = $1 ORDER BY sequence',
        [NETWORK],
      );
      return rows.map((row) => ({
        sequence: BigInt(row.sequence),
        requestId: row.request_id.toString('hex'),
        type: row.type,
      }));
    },
    async asMirror(sql, values) {
      const client = new pg.Client({ connectionString: database.superuserUrl });
      await client.connect();
      await client.query(sql, values).finally(() => client.end());
    },
    startMirror() {
      mirror ??= runMirror(database.mirrorUrl, network);
    },
    async stopMirror() {
      await mirror?.stop();
      mirror = undefined;
    },
    async stop() {
      await Promise.all(submissions.map((submission) => submission.stop()));
      await bench.stopMirror();
      await dataSource.destroy();
      await chain.stop();
      await database.drop();
    },
  };
  bench.startMirror();
  return bench;
}

/** How an act is carried out and waited for. */
export type Settle = (submission: Submission, operation: NewOperation) => Promise<unknown>;

/** Accepts an act and waits for its end. @throws Error when it doesn't end in ten seconds */
export async function perform(submission: Submission, operation: NewOperation) {
  await submission.acceptor.accept(operation);
  const end = await submission.outcomes.waitFor(operation.network, operation.requestId, 10_000);
  if (end === undefined) throw new Error('The act did not end in time.');
  return end;
}

/** Looks until `check` gives something, for at most ten seconds. @throws Error naming what was waited for */
export async function eventually<T>(what: string, check: () => Promise<T | undefined | false>): Promise<T> {
  for (const end = Date.now() + 10_000; Date.now() < end; ) {
    const found = await check();
    if (found !== undefined && found !== false) return found;
    await new Promise((wake) => setTimeout(wake, 25));
  }
  throw new Error(`Not within ten seconds: ${what}`);
}

function runMirror(url: string, network: NetworkConfig) {
  const stopping = new AbortController();
  const rpc = connectRpc(network.rpc);
  const dataSource = createDataSource({ url, applicationName: 'test-indexer', searchPath: 'mirror', poolSize: 2 });
  const quiet = { log: () => undefined, warn: () => undefined, error: (message: string) => console.error(message) };
  const runner = new NetworkRunner(network, {
    dataSource,
    source: new RpcSource(rpc),
    metrics: new IndexerMetrics(),
    log: quiet,
  });
  const running = dataSource.initialize().then(() => runner.run(stopping.signal));
  return {
    async stop() {
      stopping.abort(new Error('stopped'));
      await running;
      await rpc.close();
      await dataSource.destroy();
    },
  };
}
