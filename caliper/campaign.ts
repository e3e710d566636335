import { cp, mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { startNetwork } from '../deploy/geth/network.js';
import type { Logger } from '../deploy/geth/program.js';
import { layoutOf, type StackLayout } from '../deploy/local/layout.js';
import { type PostgresServer, removePostgres, startPostgres } from '../deploy/local/postgres.js';
import { keyFiles, provisionHospital } from '../deploy/local/provision.js';
import { prepareDirect } from './direct.js';
import { figuresOf, type Run } from './figures.js';
import { prepareGateway, startGateway } from './gateway.js';
import { needsHeartbeat, startHeartbeat } from './heartbeat.js';
import { caliperFolder } from './install.js';
import { launchCaliper } from './launch.js';
import { type Founder, foundLedger } from './ledger.js';
import { type Cell, cellName, EXPECTED_HASHES, finalityDepth, type Path, type Round } from './matrix.js';
import type { Prepared } from './prepared.js';

/** What all cells of a run share. */
export interface CampaignContext {
  state: string;
  out: string;
  env: NodeJS.ProcessEnv;
  signal: AbortSignal;
  log(message: string): void;
  logger: Logger;
  postgres: PostgresServer;
  /** the hospital that is measured, and the one it transfers records to, which has no gateway: a transfer ends at the offer */
  founders: [Founder, Founder];
  passphrase: string;
}

/** How long a round may take beyond its time of sending, and a single transaction of the preparation in all. */
const PATIENCE_MS = { 'clique-0': 30_000, 'clique-1': 60_000, pow: 240_000 };
const FIRST_CHAIN = 430_001;

/** Starts Postgres and makes the hospitals' keys, hands both to `measure`, stops whatever happens. */
export async function withCampaign(
  options: {
    state: string;
    out: string;
    base: number;
    env: NodeJS.ProcessEnv;
    log(message: string): void;
    signal: AbortSignal;
  },
  measure: (context: CampaignContext) => Promise<void>,
): Promise<void> {
  const { state, out, env, log, signal } = options;
  const logger: Logger = { info: () => undefined, warn: (message) => log(`! ${message}`) };
  const folder = join(state, 'hospitals');
  const layout: StackLayout = layoutOf(folder, options.base);
  await removePostgres(layout.postgres.dir);
  await rm(folder, { recursive: true, force: true });
  const postgres = await startPostgres({ ...layout.postgres, logger });
  try {
    const founders: Founder[] = [];
    for (const hospital of layout.hospitals)
      founders.push({ layout: hospital, facts: await provisionHospital(hospital) });
    const [first, second] = founders as [Founder, Founder];
    const passphrase = (await readFile(keyFiles(first.layout).passphrase, 'utf8')).trim();
    await measure({ state, out, env, log, signal, logger, postgres, founders: [first, second], passphrase });
  } finally {
    await postgres.stop();
  }
}

/** Both paths on one network, one after the other: first straight at its first node, then through a gateway on the same node. */
export async function measureCell(
  context: CampaignContext,
  cell: Cell,
  rounds: Round[],
  index: number,
): Promise<{ runs: Run[]; geth: string }> {
  const { state, log, signal, founders, passphrase } = context;
  const [hospital, { layout: receiver }] = founders;
  const dir = join(state, 'network');
  await rm(dir, { recursive: true, force: true });
  const network = await startNetwork({
    ...{ dir, logger: { info: log, warn: log }, env: context.env, signal },
    shape: {
      ...{ chainId: FIRST_CHAIN + index, nodes: cell.miners },
      ...(cell.consensus === 'pow'
        ? { consensus: 'pow', difficulty: EXPECTED_HASHES[cell.difficulty] }
        : { consensus: 'clique', period: cell.consensus === 'clique-0' ? 0 : 1 }),
    },
  });
  const ipcPath = network.nodes[0]?.ipcPath ?? '';
  const heartbeat = needsHeartbeat(cell) ? startHeartbeat(ipcPath, network.plan.chainId) : undefined;
  try {
    const patienceMs = PATIENCE_MS[cell.consensus];
    const ledger = await foundLedger(network, founders, { depth: finalityDepth(cell), patienceMs });
    const measured = async (path: Path, prepared: Prepared): Promise<Run[]> => {
      log(`${path}: ${rounds.length} rounds`);
      const workspace = join(state, 'caliper', `${cellName(cell)}-${path}`);
      const label = `${cellName(cell)}, ${path}`;
      const results = await launchCaliper({ workspace, label, prepared, rounds, patienceMs, signal });
      await keepHtml(context.out, workspace, `${cellName(cell)}-${path}.html`);
      return results.map((result) => figuresOf(cell, path, result));
    };
    const direct = await measured(
      'direct',
      await prepareDirect({
        ...{ ledger, hospital, passphrase, receiver: receiver.id, rounds },
        wsUrl: network.nodes[0]?.wsUrl ?? '',
      }),
    );
    const gateway = await startGateway({ ...context, cell, database: `caliper_${index}`, network, ledger });
    try {
      const connector = join(caliperFolder, 'connector', 'rest.cjs');
      const prepared = await prepareGateway({ gateway, hospital, receiver: receiver.id, rounds, connector, signal });
      return { runs: [...direct, ...(await measured('gateway', prepared))], geth: network.geth.version };
    } finally {
      await gateway.stop();
    }
  } finally {
    await heartbeat?.stop();
    await network.stop();
  }
}

/** Caliper's own report; there is none of a run that was given up. */
async function keepHtml(out: string, workspace: string, name: string): Promise<void> {
  const folder = join(out, 'caliper');
  await mkdir(folder, { recursive: true });
  await cp(join(workspace, 'report.html'), join(folder, name)).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
  });
}
