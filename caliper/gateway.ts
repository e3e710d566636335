import { randomUUID } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { GAS_LIMIT } from '../deploy/geth/genesis.js';
import type { RunningNetwork } from '../deploy/geth/network.js';
import type { Logger } from '../deploy/geth/program.js';
import { Latencies, Session } from '../deploy/local/demo/client.js';
import { gatewayEnvironment } from '../deploy/local/gateway-environment.js';
import { projectRoot } from '../deploy/local/layout.js';
import { createHospitalDatabase, type PostgresServer } from '../deploy/local/postgres.js';
import { type Service, startService } from '../deploy/local/processes.js';
import { keyFiles, type NetworkEntry, writeConfig } from '../deploy/local/provision.js';
import { migrate } from '../libs/database/src/migrate.js';
import { toHex } from '../libs/platform/src/bytes.js';
import type { CellLedger, Founder } from './ledger.js';
import { type Cell, finalityDepth, type Operation, type Round } from './matrix.js';
import type { Prepared } from './prepared.js';

const PATIENCE_MS = 15 * 60_000;
const AT_ONCE = 100;
const LOOKED_AT = 10;
const CLINICIAN = 'clinician.a';

export interface RunningGateway {
  api: string;
  stop(): Promise<void>;
}

/** Starts the hospital's indexer and gateway on the cell's network, which is local and global to it, with a database of its own. */
export async function startGateway(options: {
  cell: Cell;
  database: string;
  network: RunningNetwork;
  ledger: CellLedger;
  founders: Founder[];
  postgres: PostgresServer;
  logger: Logger;
}): Promise<RunningGateway> {
  const { network, ledger, logger } = options;
  const [{ layout, facts }, ...others] = options.founders as [Founder, ...Founder[]];
  const database = await createHospitalDatabase(options.postgres, options.database);
  await migrate(database.ownerUrl, () => {});
  const entry: NetworkEntry = {
    ...{ name: 'shared', chainId: String(ledger.chainId), rpc: network.nodes[0]?.ipcPath ?? '' },
    ...{ contract: toHex(ledger.contract), startBlock: String(ledger.startBlock), genesisHash: network.genesisHash },
    ...{ finalityDepth: finalityDepth(options.cell), gasLimit: GAS_LIMIT, storeRawBlocks: false },
    relayers: [facts.relayers.local],
  };
  const config = await writeConfig(
    layout,
    others.map((one) => one.layout),
    { local: entry, global: entry },
  );
  await writeFile(
    config.networks,
    JSON.stringify({ local: entry.name, global: entry.name, networks: [entry] }, null, 2),
  );
  const { ports } = layout;
  const api = `http://127.0.0.1:${ports.api}`;
  const service = (name: 'gateway' | 'indexer', readyUrl: string, env: Record<string, string>) =>
    startService({
      ...{ title: name, env, readyUrl, logger, cwd: projectRoot },
      args: [join(projectRoot, 'dist', 'apps', name, 'src', 'main.js')],
      logFile: join(layout.logs, `${name}.log`),
      pidFile: join(layout.run, `${name}.pid`),
    });
  const indexer = await service('indexer', `http://127.0.0.1:${ports.indexer}/health/ready`, {
    ...{ NODE_ENV: 'production', LOG_LEVEL: 'warn', HOST: '127.0.0.1', MANAGEMENT_PORT: String(ports.indexer) },
    ...{ DATABASE_URL: database.mirrorUrl, NETWORKS_FILE: config.networks },
  });
  let gateway: Service | undefined;
  const stop = async () => {
    await gateway?.stop();
    await indexer.stop();
  };
  try {
    gateway = await service('gateway', `${api}/health/ready`, {
      ...{
        ...gatewayEnvironment(layout, ports),
        PUBLIC_URL: api,
        LOG_LEVEL: 'warn',
        RATE_LIMIT_PER_MINUTE: '100000000',
      },
      ...{ DATABASE_URL: database.gatewayUrl, NETWORKS_FILE: config.networks },
    });
    await Promise.all([indexer.ready(), gateway.ready()]);
    return { api, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/**
 * The workloads as our connector sends them to the REST API. What has to be there first (a user who is an actor, content uploaded for
 * the records to be opened, records to look at and to transfer) is put there over the same API.
 */
export async function prepareGateway(options: {
  gateway: RunningGateway;
  hospital: Founder;
  receiver: number;
  rounds: Round[];
  connector: string;
  signal: AbortSignal;
}): Promise<Prepared> {
  const { rounds, gateway, hospital } = options;
  const passwords = JSON.parse(await readFile(keyFiles(hospital.layout).demoUsers, 'utf8'));
  const session = (username: string) =>
    new Session(gateway.api, username, passwords[username], new Latencies(), options.signal);
  const admin = session('admin.a');
  const roles = ['clinician'];
  await admin.expect([201], {
    ...{
      method: 'POST',
      path: '/v1/admin/users',
      body: { username: CLINICIAN, password: passwords[CLINICIAN], roles },
    },
  });
  await confirmed(admin, '/v1/admin/actors', { subject: CLINICIAN, roles });

  const clinician = session(CLINICIAN);
  const howMany = (operation: Operation) =>
    rounds.filter((round) => round.operation === operation).reduce((sum, { count }) => sum + count, 0);
  const contents = await inTurns(howMany('open'), () => upload(clinician));
  const records = await inTurns(LOOKED_AT + howMany('transfer'), async () => {
    const answer = await confirmed(clinician, '/v1/emrs', opening(await upload(clinician)));
    return (answer.headers.get('location') ?? '').split('/').at(-1) ?? '';
  });
  const looked = records.slice(0, LOOKED_AT);
  const toTransfer = records.slice(LOOKED_AT);
  const recordAt = (index: number) => `/v1/emrs/${looked[index % LOOKED_AT]}`;
  const requestOf: Record<Operation, (index: number) => object> = {
    open: () => write('/v1/emrs', opening(contents.pop() ?? '')),
    'query-view': (index) => ({ method: 'GET', path: recordAt(index) }),
    'query-audited': (index) => write(`${recordAt(index)}/queries`, { purpose: 'TREAT' }),
    transfer: () => ({
      ...write(`/v1/emrs/${toTransfer.pop()}/transfers`, { toHospital: options.receiver, reason: 'treatment' }),
      until: { field: 'state', value: 'proposed' },
    }),
  };
  return {
    network: {
      caliper: { blockchain: options.connector },
      rest: { api: gateway.api, username: CLINICIAN, password: passwords[CLINICIAN] },
    },
    requests: rounds.map(({ operation, count }) =>
      Array.from({ length: count }, (_, index) => requestOf[operation](index)),
    ),
  };
}

const write = (path: string, body: object) => ({ method: 'POST', path, body, key: randomUUID() });

const opening = (contentId: string) => ({
  ...{ contentId, securityLevel: 1 },
  patient: { identifier: { system: 'urn:hospital-a:mrn', value: randomUUID() } },
});

async function upload(clinician: Session): Promise<string> {
  const answer = await clinician.expect([201], {
    ...{ method: 'POST', path: '/v1/contents', key: randomUUID(), contentType: 'application/fhir+json' },
    body: Buffer.from(JSON.stringify({ resourceType: 'Bundle', type: 'collection', id: randomUUID() })),
  });
  return answer.json.contentId;
}

/** Asks again with the same key for as long as the act isn't confirmed: a proof-of-work block may take longer than one request waits. */
function confirmed(session: Session, path: string, body: object) {
  const call = { method: 'POST' as const, path, body, key: randomUUID(), prefer: 'wait=30' };
  return session.until(call, `${path} to be confirmed`, ({ status }) => status === 201, PATIENCE_MS);
}

async function inTurns<T>(count: number, make: () => Promise<T>): Promise<T[]> {
  if (count === 0) return [];
  const made = [await make()]; // alone: it logs in
  let begun = 1;
  const one = async () => {
    while (begun < count) {
      begun += 1;
      made.push(await make());
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, one));
  return made;
}
