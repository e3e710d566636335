import { mkdir, rm, writeFile } from 'node:fs/promises';
import { performance } from 'node:perf_hooks';
import { findGeth } from '../deploy/geth/binary.js';
import { stopLeftover } from '../deploy/geth/child-process.js';
import { isFree } from '../deploy/geth/ports.js';
import type { Logger } from '../deploy/geth/program.js';
import { type PostgresServer, removePostgres, startPostgres } from '../deploy/local/postgres.js';
import { findRedis } from '../deploy/local/redis.js';
import { lockState } from '../deploy/local/state-lock.js';
import { Dice } from './dice.js';
import { type ChaosOptions, parseOptions, usage } from './options.js';
import { historyOf } from './oracle/history.js';
import { type Report, type RunReport, reportOf, textOf } from './report.js';
import { Run, type Scenario } from './run.js';
import { scenarios } from './scenarios/index.js';
import { type ChaosLayout, chaosLayout, usedPorts } from './stack/layout.js';
import { type ChaosStack, type StackContext, startStack } from './stack/stack.js';

/** `npm run chaos`. @returns exit code: 0 when no run found anything */
export async function run(args: string[], env: NodeJS.ProcessEnv): Promise<number> {
  let options: ChaosOptions;
  try {
    options = parseOptions(args);
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n\n${usage()}\n`);
    return 2;
  }
  if (options.help) {
    process.stdout.write(`${usage()}\n`);
    return 0;
  }
  const report = await campaign(options, env, `npm run chaos -- ${args.join(' ')}`.trim());
  if (options.json) await writeFile(options.json, `${JSON.stringify(report, null, 2)}\n`);
  process.stdout.write(`\n${textOf(report)}\n`);
  return report.totals.runs > 0 && report.totals.failedRuns === 0 ? 0 : 1;
}

/** All runs, one after the other, on one Postgres; each has a hospital of its own, copied from a template. */
async function campaign(options: ChaosOptions, env: NodeJS.ProcessEnv, command: string): Promise<Report> {
  const began = performance.now();
  const say = (text: string) =>
    process.stdout.write(`${((performance.now() - began) / 1000).toFixed(1).padStart(7)} s  ${text}\n`);
  await mkdir(options.state, { recursive: true });
  const release = lockState(options.state);
  const stopping = new AbortController();
  const onSignal = () => stopping.abort();
  process.once('SIGINT', onSignal).once('SIGTERM', onSignal).once('SIGHUP', onSignal);
  const runs: RunReport[] = [];
  let postgres: PostgresServer | undefined;
  try {
    const layout = chaosLayout(options.state, options.base);
    const logger: Logger = { info: say, warn: say };
    await clear(layout, options);
    const geth = await findGeth({ env, logger });
    if (!geth) throw new Error('no geth that can seal Clique: set GETH_BIN, or install Go so that one can be built');
    postgres = await startPostgres({ ...layout.postgres, restart: true });
    const context = {
      layout,
      postgres,
      geth,
      logger: { info: () => undefined, warn: () => undefined },
      path: env.PATH,
    };
    const redis = findRedis(env.PATH) !== undefined;
    if (!redis)
      say('no redis-server on the PATH: all runs have their queue on Postgres, and those that need Redis are left out');
    const chosen = scenarios
      .filter(({ name }) => options.only.length === 0 || options.only.includes(name))
      .filter(({ queue }) => redis || queue !== 'redis');
    if (chosen.length === 0) throw new Error('no scenario is left to run');
    for (let number = 0; number < options.runs && !stopping.signal.aborted; number += 1) {
      if ((performance.now() - began) / 1000 > options.seconds) {
        say(`no further run is begun after ${options.seconds} s`);
        break;
      }
      const scenario = chosen[number % chosen.length] as Scenario;
      runs.push(
        await once(context, scenario, {
          seed: options.seed + number,
          number: number + 1,
          say,
          history: options.history,
        }),
      );
    }
  } finally {
    await postgres?.stop();
    release();
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal).off('SIGHUP', onSignal);
  }
  return reportOf(command, runs);
}

async function once(
  context: StackContext,
  scenario: Scenario,
  options: { seed: number; number: number; say: (text: string) => void; history: string | undefined },
): Promise<RunReport> {
  const { seed, number, say } = options;
  const began = performance.now();
  const withRedis = findRedis(context.path) !== undefined && new Dice(seed * 17 + 3).below(2) === 1;
  const queue = scenario.queue ?? (withRedis ? 'redis' : 'postgres');
  say(`run ${number}: ${scenario.name}, seed ${seed}, queue on ${queue}`);
  const log: string[] = [];
  const since = () => ((performance.now() - began) / 1000).toFixed(2);
  const run = new Run(scenario, seed, (text) => void log.push(`${since()} ${text}`));
  const logger: Logger = {
    info: (text) => void log.push(`${since()} ${text}`),
    warn: (text) => void log.push(`${since()} ! ${text}`),
  };
  const { failpoint, onEnd } = run.hooks;
  let stack: ChaosStack;
  try {
    stack = await startStack(
      { ...context, logger },
      { kind: scenario.kind ?? 'instant', signer: scenario.signer ?? 'keystore', queue, failpoint, onEnd },
    );
  } catch (error) {
    const text = `the stack did not start: ${(error as Error).stack}`;
    say(`run ${number}: ${text}`);
    return {
      ...{ number, scenario: scenario.name, seed, queue, rows: scenario.rows, faults: [], acts: 0, answers: {} },
      ...{
        events: 0,
        transactions: 0,
        reorganisations: 0,
        findings: [{ kind: 'other', text }],
        seconds: Number(since()),
      },
    };
  }
  const up = since();
  const result = await run.execute(stack).catch((error: Error) => ({
    ...{
      faults: run.faults,
      acts: run.load.acts.length,
      answers: run.load.counts,
      events: 0,
      transactions: 0,
      reorganisations: 0,
    },
    findings: [...run.findings, { kind: 'other' as const, text: `the run broke off: ${error.stack}` }],
  }));
  await stack.stop();
  if (options.history) await writeFile(options.history, historyOf(run.facts, run.load.acts));
  const report: RunReport = {
    ...{ number, scenario: scenario.name, seed, queue, rows: scenario.rows, ...result },
    seconds: Math.round((performance.now() - began) / 100) / 10,
  };
  if (result.findings.length > 0) {
    report.kept = await stack.keep(`${scenario.name}-${seed}`);
    await writeFile(`${report.kept}/chaos.log`, `${log.join('\n')}\n`);
    await writeFile(`${report.kept}/chaos.json`, JSON.stringify({ ...report, told: run.load.acts }, null, 2));
  }
  const { faults, acts, events, findings } = result;
  const verdict =
    findings.length === 0 ? 'fine' : `${findings.length} FINDINGS, first: ${findings[0]?.kind}: ${findings[0]?.text}`;
  say(
    `run ${number}: ${faults.length} faults, ${acts} acts, ${events} events, ${report.seconds} s (${up} s to start): ${verdict}`,
  );
  return report;
}

/** Ends what a campaign that was killed has left running, and checks the ports. */
async function clear(layout: ChaosLayout, options: ChaosOptions): Promise<void> {
  const { hospital } = layout;
  for (const name of ['gateway-1', 'gateway-2', 'indexer'])
    await stopLeftover(`${hospital.run}/${name}.pid`, 'main.js');
  for (const dir of Object.values(hospital.nodes)) await stopLeftover(`${dir}/geth.pid`, dir);
  await stopLeftover(`${layout.run}/redis/redis.pid`, 'redis-server');
  if (options.fresh) {
    await removePostgres(layout.postgres.dir);
    for (const name of ['templates', 'run', 'kept'])
      await rm(`${layout.dir}/${name}`, { recursive: true, force: true });
  }
  const ports = usedPorts(layout).filter((port) => port !== layout.postgres.port);
  const taken: number[] = [];
  for (const port of ports) if (!(await isFree(port))) taken.push(port);
  if (taken.length > 0) throw new Error(`ports ${taken.join(', ')} are taken; choose others with --ports`);
}
