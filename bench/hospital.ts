import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import pg from 'pg';
import type { Logger } from '../deploy/geth/program.js';
import { Latencies } from '../deploy/local/demo/client.js';
import { introduce, type People, peopleOf } from '../deploy/local/demo/people.js';
import { openRecord, readSamples, type SampleRecord } from '../deploy/local/demo/records.js';
import { gatewayEnvironment } from '../deploy/local/gateway-environment.js';
import { layoutOf, projectRoot } from '../deploy/local/layout.js';
import { removeState } from '../deploy/local/main.js';
import { GATEWAY_YOUNG_GENERATION_MB, type Service, startService } from '../deploy/local/processes.js';
import { type RunningHospital, type RunningStack, startStack } from '../deploy/local/stack.js';
import { lockState } from '../deploy/local/state-lock.js';
import { addressOf, newKey } from '../libs/chain-client/src/keys/secp256k1.js';
import { toHex } from '../libs/platform/src/bytes.js';
import type { BenchOptions } from './options.js';

export interface Replica {
  api: string;
  gateway: Service;
}

/** The stack under measurement: the one `npm start` runs, fresh, with records opened, and an actor whose key the bench holds. */
export interface Bench {
  stack: RunningStack;
  hospital: RunningHospital;
  people: People;
  records: SampleRecord[];
  /** A self-held actor, related to every record: the raw comparison signs its own acts with it. */
  rawKey: Buffer;
  /** Gateways beside the hospital's own, on the same database. */
  replicas: Replica[];
  /** The hospital's database, for figures that only its tables have. */
  owner: pg.Client;
  log(message: string): void;
}

// A rate limit guards against one client taking everything; here one client is the measurement.
const GATEWAY_ENV = { RATE_LIMIT_PER_MINUTE: '100000000', LOG_LEVEL: 'warn' };

/** Starts everything from nothing, hands it to `measure`, stops it whatever happens. */
export async function withBench<T>(options: BenchOptions, measure: (bench: Bench) => Promise<T>): Promise<T> {
  const began = performance.now();
  const log = (message: string) => {
    process.stdout.write(`${((performance.now() - began) / 1000).toFixed(1).padStart(6)} s  ${message}\n`);
  };
  const logger = { info: log, warn: (message: string) => log(`! ${message}`) };
  const stopping = new AbortController();
  const onSignal = () => stopping.abort(new Error('stopped by a signal'));
  process.once('SIGINT', onSignal).once('SIGTERM', onSignal);
  await mkdir(options.state, { recursive: true });
  const release = lockState(options.state);
  const layout = layoutOf(options.state, options.base);
  let stack: RunningStack | undefined;
  let owner: pg.Client | undefined;
  const replicas: Replica[] = [];
  try {
    await removeState(options.state, options.base, logger);
    stack = await startStack({
      ...{ layout, base: options.base, logger, env: process.env, signal: stopping.signal },
      gatewayEnv: GATEWAY_ENV,
      indexerEnv: { LOG_LEVEL: 'warn' },
    });
    owner = new pg.Client({ connectionString: stack.hospitals[0]!.database.ownerUrl });
    await owner.connect();
    const prepared = await prepare(stack, log, stopping.signal);
    for (let index = 1; index < options.replicas; index += 1) {
      log(`gateway ${index + 1} on the same database`);
      replicas.push(await startReplica(stack.hospitals[0]!, options.base + 40 + 10 * index, index, logger));
    }
    return await measure({ ...prepared, owner, replicas });
  } finally {
    await owner?.end();
    for (const { gateway } of replicas) await gateway.stop();
    await stack?.stop();
    release();
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal);
  }
}

async function prepare(
  stack: RunningStack,
  log: (message: string) => void,
  signal: AbortSignal,
): Promise<Omit<Bench, 'owner' | 'replicas'>> {
  const hospital = stack.hospitals[0] as RunningHospital;
  const people = peopleOf(hospital, new Latencies(), signal);
  log('users and actors');
  await introduce(hospital, people);
  const rawKey = newKey();
  const address = toHex(addressOf(rawKey));
  await people('admin.a').expect([201], {
    ...{ method: 'POST', path: '/v1/admin/actors', key: 'bench-raw-actor', prefer: 'wait=30' },
    body: { subject: 'raw', roles: ['clinician'], address },
  });
  log('records');
  const records: SampleRecord[] = [];
  for (const sample of await readSamples()) {
    const record = await openRecord(people('clinician.a'), sample);
    records.push(record);
    await people('clinician.a').expect([201], {
      ...{ method: 'POST', path: `/v1/emrs/${record.recordId}/relations`, key: `bench-relate-${record.recordId}` },
      ...{ prefer: 'wait=30', body: { party: { actor: address } } },
    });
  }
  return { stack, hospital, people, records, rawKey, log };
}

async function startReplica(hospital: RunningHospital, port: number, index: number, logger: Logger): Promise<Replica> {
  const { layout, database, networksFile } = hospital;
  const ports = { ...layout.ports, api: port, management: port + 1, peer: port + 2 };
  const api = `http://127.0.0.1:${port}`;
  const gateway = await startService({
    title: `gateway ${index + 1}`,
    args: [join(projectRoot, 'dist', 'apps', 'gateway', 'src', 'main.js')],
    env: {
      // One issuer for all: its name is the first one's.
      ...{ ...gatewayEnvironment(layout, ports), ...GATEWAY_ENV, PUBLIC_URL: hospital.api },
      ...{ DATABASE_URL: database.gatewayUrl, NETWORKS_FILE: networksFile },
    },
    ...{ readyUrl: `${api}/health/ready`, logger, cwd: projectRoot, youngGenerationMb: GATEWAY_YOUNG_GENERATION_MB },
    logFile: join(layout.logs, `gateway-${index + 1}.log`),
    pidFile: join(layout.run, `gateway-${index + 1}.pid`),
  });
  await gateway.ready();
  return { api, gateway };
}

/** A bearer token of a demo user of the hospital. */
export async function tokenOf({ hospital }: Bench, username: string): Promise<string> {
  const response = await fetch(`${hospital.api}/v1/auth/token`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ username, password: hospital.passwords[username] }),
  });
  if (response.status !== 200) throw new Error(`${username} could not log in: ${response.status}`);
  return ((await response.json()) as { accessToken: string }).accessToken;
}
