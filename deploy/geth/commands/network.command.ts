import { spawn } from 'node:child_process';
import { closeSync, existsSync, openSync } from 'node:fs';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { isAlive } from '../child-process.js';
import { LEAST_DIFFICULTY } from '../genesis.js';
import { ipcPathFor } from '../ipc.js';
import {
  lockFile,
  type NetworkShape,
  nodeDirectory,
  PORTS_PER_NODE,
  readPlan,
  startNetwork,
  stopLeftNodes,
} from '../network.js';
import { nodeState, syncOf } from '../node-state.js';
import { lockHolder } from '../process-lock.js';
import type { Logger } from '../program.js';
import { CONSENSUSES } from '../releases.js';
import { oneOf, UsageError, wholeNumber } from './usage.error.js';

const DEFAULT_STATE = '.emr/geth';
const DEFAULT_PORTS = 5000;
const MOST_NODES = 20;
const runningFile = (dir: string) => join(dir, 'running.json');

/** What `status` can't ask the nodes themselves. */
interface Running {
  rpc: string[];
}

const UP = {
  consensus: { type: 'string' },
  nodes: { type: 'string' },
  'chain-id': { type: 'string' },
  period: { type: 'string' },
  difficulty: { type: 'string' },
  'gas-limit': { type: 'string' },
  threads: { type: 'string', default: '1' },
  ports: { type: 'string', default: String(DEFAULT_PORTS) },
  detach: { type: 'boolean', default: false },
  fresh: { type: 'boolean', default: false },
  state: { type: 'string', default: DEFAULT_STATE },
} as const;

/** Runs a network until it is told to end; with --detach, in a process of its own. */
export async function upCommand(args: string[], logger: Logger): Promise<number> {
  const { values } = parseArgs({ args, options: UP });
  const dir = resolve(values.state);
  const shape = shapeFrom(values);
  const nodes = values.fresh ? shape.nodes : ((await readPlan(dir))?.sealers.length ?? shape.nodes);
  const basePort = wholeNumber('ports', values.ports, 1024, 65_535 - nodes * PORTS_PER_NODE);
  const threads = wholeNumber('threads', values.threads, 1, 64);
  const holder = lockHolder(lockFile(dir));
  if (holder !== undefined) throw new UsageError(`process ${holder} runs the network in ${dir} already; see "status"`);
  if (values.fresh) await removeNetwork(dir);
  await rm(runningFile(dir), { force: true }); // one that a killed process has left
  if (values.detach) return detach(dir, args);

  const stopping = new AbortController();
  const told = new Promise<void>((done) => {
    const onSignal = () => {
      stopping.abort(new Error('told to end while it was starting'));
      done();
    };
    process.on('SIGINT', onSignal).on('SIGTERM', onSignal).on('SIGHUP', onSignal);
  });
  // Without any of these a kept network goes on as what it is.
  const named = (['consensus', 'nodes', 'chain-id', 'period', 'difficulty', 'gas-limit'] as const).some(
    (name) => values[name] !== undefined,
  );
  const wanted = named || (await readPlan(dir)) === undefined ? { shape } : {};
  const network = await startNetwork({ dir, ...wanted, basePort, threads, logger, signal: stopping.signal });
  const running: Running = { rpc: network.nodes.map(({ httpUrl }) => httpUrl) };
  await writeFile(`${runningFile(dir)}.tmp`, JSON.stringify(running));
  await rename(`${runningFile(dir)}.tmp`, runningFile(dir));
  for (const { title, httpUrl, sealer } of network.nodes) logger.info(`${title}: ${httpUrl}, ${sealer}`);
  logger.info(`chain ${network.plan.chainId}, block 0 is ${network.genesisHash}; Ctrl-C or "down" ends it`);
  await told;
  await rm(runningFile(dir), { force: true });
  await network.stop();
  logger.info('stopped; the next "up" goes on from here');
  return 0;
}

/** @throws UsageError naming the option that doesn't fit */
export function shapeFrom(
  values: {
    [name in 'consensus' | 'nodes' | 'chain-id' | 'period' | 'difficulty' | 'gas-limit']?: string | undefined;
  },
): NetworkShape {
  const consensus = oneOf('consensus', values.consensus ?? 'clique', CONSENSUSES);
  const { period, difficulty, 'gas-limit': gasLimit } = values;
  if (consensus === 'pow' && period !== undefined)
    throw new UsageError('--period has no place here: work takes its time');
  if (consensus === 'clique' && difficulty !== undefined) {
    throw new UsageError('--difficulty has no place here: a Clique block has difficulty 2 or 1');
  }
  return {
    consensus,
    nodes: wholeNumber('nodes', values.nodes ?? '3', 1, MOST_NODES),
    chainId: wholeNumber('chain-id', values['chain-id'] ?? '80', 1),
    ...(period === undefined ? {} : { period: wholeNumber('period', period, 0, 86_400) }),
    ...(difficulty === undefined ? {} : { difficulty: wholeNumber('difficulty', difficulty, LEAST_DIFFICULTY) }),
    ...(gasLimit === undefined ? {} : { gasLimit: wholeNumber('gas-limit', gasLimit, 5_000) }),
  };
}

/** Says of each node what it is doing. Ends with 1 when one that should run doesn't. */
export async function statusCommand(args: string[]): Promise<number> {
  const { values } = parseArgs({
    args,
    options: { json: { type: 'boolean', default: false }, state: { type: 'string', default: DEFAULT_STATE } },
  });
  const dir = resolve(values.state);
  const plan = await readPlan(dir);
  if (!plan) throw new UsageError(`there is no network in ${dir}; "up" makes one`);
  const { rpc = [] }: Partial<Running> = JSON.parse(await readFile(runningFile(dir), 'utf8').catch(() => '{}'));
  const pid = lockHolder(lockFile(dir));
  const nodes = await Promise.all(
    plan.sealers.map(async (sealer, index) => {
      const own = nodeDirectory(dir, index + 1);
      const state = await nodeState(ipcPathFor(own)).catch(() => undefined);
      return { node: index + 1, sealer, rpc: pid === undefined ? undefined : rpc[index], state };
    }),
  );
  if (values.json) process.stdout.write(`${JSON.stringify({ dir, pid, plan, nodes }, null, 2)}\n`);
  else {
    const say = (text: string) => process.stdout.write(`${text}\n`);
    const pace = plan.consensus === 'clique' ? `period ${plan.period} s` : `difficulty ${plan.difficulty}`;
    say(
      `${plan.consensus}, ${pace}, chain ${plan.chainId}, in ${dir}: ${pid ? `run by process ${pid}` : 'not running'}`,
    );
    for (const { node, sealer, rpc: url, state } of nodes) {
      if (!state) say(`node ${node}  ${sealer}  away`);
      else {
        const { head, peers, sealing } = state;
        const doing = sealing ? (plan.consensus === 'clique' ? 'seals' : 'mines') : 'follows';
        say(
          `node ${node}  ${sealer}  ${doing}, block ${head.number} (${head.hash.slice(0, 10)}, ${head.ageSeconds} s old), ${peers} peers, ${syncOf(state)}${url ? `  ${url}` : ''}`,
        );
      }
    }
  }
  return pid === undefined || nodes.some(({ state }) => !state) ? 1 : 0;
}

/** Ends the network in a folder, whoever started it. */
export async function downCommand(args: string[], logger: Logger): Promise<number> {
  const { values } = parseArgs({ args, options: { state: { type: 'string', default: DEFAULT_STATE } } });
  const dir = resolve(values.state);
  const holder = lockHolder(lockFile(dir));
  if (holder !== undefined) {
    process.kill(holder, 'SIGTERM');
    while (isAlive(holder)) await new Promise((wake) => setTimeout(wake, 50));
    logger.info(`process ${holder} has stopped the network in ${dir}`);
    return 0;
  }
  const left = await stopLeftNodes(dir);
  logger.info(left > 0 ? `stopped ${left} nodes that a killed process had left in ${dir}` : `nothing runs in ${dir}`);
  return 0;
}

/** Only what a network left: a folder given by mistake keeps its files. */
async function removeNetwork(dir: string): Promise<void> {
  const nodes = (await readPlan(dir))?.sealers ?? [];
  await stopLeftNodes(dir);
  for (const index of nodes.keys()) await rm(nodeDirectory(dir, index + 1), { recursive: true, force: true });
  for (const name of ['network.json', 'running.json']) await rm(join(dir, name), { force: true });
}

/** Starts ourselves again in the background and waits until the network runs there. */
async function detach(dir: string, args: string[]): Promise<number> {
  await mkdir(dir, { recursive: true, mode: 0o700 });
  const logFile = join(dir, 'up.log');
  const log = openSync(logFile, 'w', 0o600);
  const again = args.filter((arg) => !['--detach', '--fresh'].includes(arg));
  // As npm's child it would end with npm.
  const { npm_lifecycle_event: _, ...env } = process.env;
  const child = spawn(process.execPath, [process.argv[1] ?? '', 'geth', 'up', ...again], {
    ...{ detached: true, stdio: ['ignore', log, log], env },
  });
  closeSync(log);
  child.unref();
  while (!existsSync(runningFile(dir))) {
    if (child.exitCode !== null) throw new Error(`it did not start: ${(await readFile(logFile, 'utf8')).trim()}`);
    await new Promise((wake) => setTimeout(wake, 100));
  }
  return statusCommand(['--state', dir]);
}
