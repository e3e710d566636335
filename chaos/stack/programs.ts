import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { GAS_LIMIT } from '../../deploy/geth/genesis.js';
import type { Logger } from '../../deploy/geth/program.js';
import { gatewayEnvironment } from '../../deploy/local/gateway-environment.js';
import { projectRoot } from '../../deploy/local/layout.js';
import type { HospitalDatabase } from '../../deploy/local/postgres.js';
import { type Service, startService } from '../../deploy/local/processes.js';
import { type NetworkEntry, type PublicFacts, writeConfig } from '../../deploy/local/provision.js';
import { CHAIN_ID, type ChaosLayout, type NetworkKind } from './layout.js';
import { finalityOf, type Nodes } from './nodes.js';
import type { SignerServer } from './signer.js';

/** NETWORKS_FILE of each program: they differ in how the node is reached. */
export type Networks = Record<ProgramName | 'direct', string>;
export type ProgramName = 'gateway-1' | 'gateway-2' | 'indexer';

/** Single-chain form: one network is both tiers, so that a run needs no second chain. */
export async function writeNetworks(options: {
  layout: ChaosLayout;
  kind: NetworkKind;
  facts: PublicFacts;
  ledger: { contract: string; startBlock: string };
  nodes: Nodes;
  rpc(name: ProgramName | 'direct'): string;
  /** how the relayer signs, where it isn't its keystore in the hospital's folder */
  relayer?: SignerServer['relayer'] | undefined;
}): Promise<Networks> {
  const { layout, facts, ledger, nodes } = options;
  const networks = {} as Networks;
  for (const name of ['gateway-1', 'gateway-2', 'indexer', 'direct'] as const) {
    const network: NetworkEntry = {
      ...{ name: 'local', chainId: String(CHAIN_ID), rpc: options.rpc(name), ...ledger },
      ...{ genesisHash: nodes.genesisHash, finalityDepth: finalityOf(options.kind), gasLimit: GAS_LIMIT },
      ...{ storeRawBlocks: true, relayers: [facts.relayers.local] },
    };
    networks[name] = join(layout.hospital.config, `networks-${name}.json`);
    await writeFile(
      networks[name],
      JSON.stringify(
        {
          local: 'local',
          global: 'local',
          networks: [{ ...network, ...(options.relayer ? { relayers: [options.relayer] } : {}) }],
        },
        null,
        2,
      ),
    );
    if (name === 'direct') await writeConfig(layout.hospital, [], { local: network, global: network }); // issuers, peers
  }
  return networks;
}

export interface ProgramOptions {
  layout: ChaosLayout;
  database: HospitalDatabase;
  networks: Networks;
  queueUrl: string | undefined;
  replicas: 1 | 2;
  logger: Logger;
  /** FAILPOINT of a program's next start */
  failpoint?(name: ProgramName): string | undefined;
  /** a program ended that nobody had stopped */
  onEnd?(name: ProgramName, signal: NodeJS.Signals | null): void;
}

export interface Programs {
  gateways: Service[];
  indexer: Service;
  /** all of them, by name */
  byName(name: ProgramName): Service;
  ready(timeoutMs: number): Promise<void>;
  stop(): Promise<void>;
}

/** File with the milliseconds by which a replica's clock is off. */
export const clockFile = (layout: ChaosLayout, name: ProgramName) => join(layout.hospital.run, `${name}.clock`);

/** Starts indexer and gateways as they are built. Whichever ends unasked is started again at once. */
export async function startPrograms(options: ProgramOptions): Promise<Programs> {
  const { layout, database, networks, logger } = options;
  const { hospital } = layout;
  const entry = (name: string) => join(projectRoot, 'dist', 'apps', name, 'src', 'main.js');
  if (!existsSync(entry('gateway'))) throw new Error(`${entry('gateway')} is missing: build first`);
  const service = (name: ProgramName, program: string, readyUrl: string, env: Record<string, string>) =>
    startService({
      ...{ title: name, args: [entry(program)], readyUrl, logger, cwd: projectRoot, longestBackoffMs: 300 },
      env: () => ({ ...env, FAILPOINT: options.failpoint?.(name) ?? '' }),
      onEnd: ({ signal }) => options.onEnd?.(name, signal),
      logFile: join(hospital.logs, `${name}.log`),
      pidFile: join(hospital.run, `${name}.pid`),
    });
  const indexer = await service('indexer', 'indexer', `http://127.0.0.1:${hospital.ports.indexer}/health/ready`, {
    ...{
      NODE_ENV: 'production',
      LOG_LEVEL: 'info',
      HOST: '127.0.0.1',
      MANAGEMENT_PORT: String(hospital.ports.indexer),
    },
    ...{ DATABASE_URL: database.mirrorUrl, NETWORKS_FILE: networks.indexer },
  });
  const gateways = await Promise.all(
    layout.replicas.slice(0, options.replicas).map((ports, index) => {
      const name = `gateway-${index + 1}` as ProgramName;
      return service(name, 'gateway', `http://127.0.0.1:${ports.api}/health/ready`, {
        ...{ ...gatewayEnvironment(hospital, ports), DATABASE_URL: database.gatewayUrl },
        RATE_LIMIT_PER_MINUTE: '100000000',
        ...(options.queueUrl === undefined ? {} : { QUEUE_URL: options.queueUrl }),
        NETWORKS_FILE: networks[name],
        NODE_OPTIONS: `--import=${clockAddress(layout, name)}`,
      });
    }),
  );
  const programs: Programs = {
    ...{ gateways, indexer },
    byName: (name) => (name === 'indexer' ? indexer : (gateways[name === 'gateway-1' ? 0 : 1] as Service)),
    ready: async (timeoutMs) => {
      await Promise.all([...gateways, indexer].map((one) => one.ready(timeoutMs)));
    },
    stop: async () => {
      await Promise.all([...gateways, indexer].map((one) => one.stop()));
    },
  };
  await programs.ready(60_000).catch(async (error) => {
    await programs.stop();
    throw error;
  });
  return programs;
}

function clockAddress(layout: ChaosLayout, name: ProgramName): string {
  const address = pathToFileURL(join(projectRoot, 'chaos', 'stack', 'clock.preload.mjs'));
  address.searchParams.set('file', clockFile(layout, name));
  return address.href;
}
