import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { migrate } from '../../libs/database/src/migrate.js';
import { unlessAborted } from '../geth/abort.js';
import { findAnvil } from '../geth/anvil.js';
import { findGeth, type GethBinary } from '../geth/binary.js';
import { stopLeftover } from '../geth/child-process.js';
import type { Logger } from '../geth/program.js';
import { type Chains, type HospitalSetup, startChains } from './chains.js';
import { gatewayEnvironment } from './gateway-environment.js';
import { type HospitalLayout, portNames, projectRoot, type StackLayout } from './layout.js';
import { assertPortsFree } from './ports.js';
import { createHospitalDatabase, type HospitalDatabase, type PostgresServer, startPostgres } from './postgres.js';
import { GATEWAY_YOUNG_GENERATION_MB, type Service, startService } from './processes.js';
import { keyFiles, type PublicFacts, provisionHospital, writeConfig } from './provision.js';

export interface RunningHospital {
  layout: HospitalLayout;
  facts: PublicFacts;
  database: HospitalDatabase;
  /** base URL of the public API */
  api: string;
  /** of the gateway's management port */
  management: string;
  gateway: Service;
  indexer: Service;
  networksFile: string;
  /** passwords of the demo users, by user name; they exist once the demo has made them */
  passwords: Record<string, string>;
}

export interface RunningStack {
  layout: StackLayout;
  chainKind: 'geth' | 'anvil';
  gethVersion: string | undefined;
  hospitals: RunningHospital[];
  postgres: PostgresServer;
  chains: Chains;
  stop(): Promise<void>;
}

export interface StackOptions {
  layout: StackLayout;
  /** for the hint when a port is taken */
  base: number;
  logger: Logger;
  env: NodeJS.ProcessEnv;
  /** on top of what the stack sets, such as RATE_LIMIT_PER_MINUTE for a benchmark */
  gatewayEnv?: Record<string, string>;
  indexerEnv?: Record<string, string>;
  signal?: AbortSignal;
}

/**
 * Starts two hospitals, or resumes them from their state folder: Postgres, nodes, ledgers, gateways, indexers, in this order.
 * Nothing is left running when it fails.
 * @throws Error with the reason; when `signal` says so, in the middle
 */
export async function startStack(options: StackOptions): Promise<RunningStack> {
  const { layout, logger, signal } = options;
  /** what to stop, last started first */
  const started: { stop(): Promise<void> }[] = [];
  const stop = async () => {
    for (const one of started.splice(0).reverse()) await one.stop().catch((error) => logger.warn(String(error)));
  };
  try {
    await stopLeftovers(layout, logger);
    await assertPortsFree(portNames(layout), options.base);
    const geth = await gethOrAnvil(options);
    signal?.throwIfAborted();

    logger.info('starting Postgres');
    const postgres = await startPostgres({ ...layout.postgres, logger, restart: true }).catch((error: Error) => {
      if (!/is taken/.test(error.message)) throw error;
      throw new Error(
        `${error.message}; choose others with --ports, such as: npm start -- --ports ${options.base + 1000}`,
      );
    });
    started.push(postgres);
    signal?.throwIfAborted();

    const setups: (HospitalSetup & { database: HospitalDatabase })[] = [];
    for (const hospital of layout.hospitals) {
      logger.info(`${hospital.title}: keys and database`);
      const facts = await provisionHospital(hospital);
      const database = await createHospitalDatabase(postgres, hospital.database);
      await migrate(database.ownerUrl, (name) => logger.info(`${hospital.title}: migrated ${name}`));
      setups.push({ layout: hospital, facts, database, mirrorUrl: database.nodeUrl });
      signal?.throwIfAborted();
    }

    logger.info(geth ? `starting four geth ${geth.version} nodes` : 'starting three Anvil nodes');
    const chains = await startChains(layout, setups, geth, logger, signal);
    started.push(chains);
    signal?.throwIfAborted();

    const hospitals = await Promise.all(
      setups.map((setup, index) => startHospital(setup, index, chains, options, started)),
    );
    const ready = Promise.all(hospitals.flatMap(({ gateway, indexer }) => [gateway.ready(), indexer.ready()]));
    await unlessAborted(ready, signal);
    return { layout, chainKind: chains.kind, gethVersion: geth?.version, hospitals, postgres, chains, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function gethOrAnvil(options: StackOptions): Promise<GethBinary | undefined> {
  const geth = await findGeth({ env: options.env, logger: options.logger, signal: options.signal });
  if (geth) {
    options.logger.info(`geth ${geth.version}: ${geth.path}`);
    return geth;
  }
  if (!findAnvil())
    throw new Error('no geth (set GETH_BIN, or install Go so that one can be built), and no Anvil for this platform');
  options.logger.warn(
    'NO GETH: Anvil stands in. It is one process with no consensus, and a crash loses up to a second of blocks.',
  );
  options.logger.warn(
    'Good for trying things out, not for judging how the product behaves. Install Go, or set GETH_BIN, for the real thing.',
  );
  return undefined;
}

async function startHospital(
  setup: HospitalSetup & { database: HospitalDatabase },
  index: number,
  chains: Chains,
  options: StackOptions,
  started: { stop(): Promise<void> }[],
): Promise<RunningHospital> {
  const { layout: hospital, facts, database } = setup;
  const { logger } = options;
  const others = options.layout.hospitals.filter((other) => other.id !== hospital.id);
  const config = await writeConfig(hospital, others, chains.hospitals[index] as Chains['hospitals'][number]);
  const files = keyFiles(hospital);
  const api = `http://127.0.0.1:${hospital.ports.api}`;
  const management = `http://127.0.0.1:${hospital.ports.management}`;
  const service = (name: 'gateway' | 'indexer', readyUrl: string, env: Record<string, string>) =>
    startService({
      title: `${hospital.title}'s ${name}`,
      args: [join(projectRoot, 'dist', 'apps', name, 'src', 'main.js')],
      ...{ env, readyUrl, logger, cwd: projectRoot },
      ...(name === 'gateway' ? { youngGenerationMb: GATEWAY_YOUNG_GENERATION_MB } : {}),
      logFile: join(hospital.logs, `${name}.log`),
      pidFile: join(hospital.run, `${name}.pid`),
    });

  logger.info(`${hospital.title}: starting indexer and gateway`);
  const indexer = await service('indexer', `http://127.0.0.1:${hospital.ports.indexer}/health/ready`, {
    ...{
      NODE_ENV: 'production',
      LOG_LEVEL: 'info',
      HOST: '127.0.0.1',
      MANAGEMENT_PORT: String(hospital.ports.indexer),
    },
    ...{ DATABASE_URL: database.mirrorUrl, NETWORKS_FILE: config.networks },
    ...options.indexerEnv,
  });
  started.push(indexer);
  const gateway = await service('gateway', `${api}/health/ready`, {
    ...{ ...gatewayEnvironment(hospital, hospital.ports), PUBLIC_URL: api },
    ...{ DATABASE_URL: database.gatewayUrl, NETWORKS_FILE: config.networks },
    ...options.gatewayEnv,
  });
  started.push(gateway);
  const passwords = JSON.parse(await readFile(files.demoUsers, 'utf8'));
  return {
    layout: hospital,
    facts,
    database,
    api,
    management,
    gateway,
    indexer,
    networksFile: config.networks,
    passwords,
  };
}

/** Ends what a start that was killed has left: writers first, then nodes. Postgres is taken over when it starts. */
export async function stopLeftovers(layout: StackLayout, logger: Logger): Promise<void> {
  for (const hospital of layout.hospitals) {
    for (const name of ['gateway', 'indexer']) {
      const mark = join('dist', 'apps', name, 'src', 'main.js');
      if (await stopLeftover(join(hospital.run, `${name}.pid`), mark)) {
        logger.info(`stopped ${hospital.title}'s ${name} of an earlier start`);
      }
    }
  }
  for (const hospital of layout.hospitals) {
    for (const [tier, dir] of Object.entries(hospital.nodes)) {
      if (await stopLeftover(join(dir, 'geth.pid'), dir))
        logger.info(`stopped ${hospital.title}'s ${tier} node of an earlier start`);
    }
    await stopLeftover(join(hospital.dir, 'local-anvil', 'anvil.pid'), hospital.dir);
  }
  await stopLeftover(join(layout.dir, 'global-anvil', 'anvil.pid'), layout.dir);
}
