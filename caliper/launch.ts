import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { startProcess } from '../deploy/geth/child-process.js';
import { caliperCli, caliperFolder } from './install.js';
import type { Round } from './matrix.js';
import type { Prepared } from './prepared.js';

/** One operation as the workload saw it end. */
export interface Sample {
  /** when it was sent, ms since 1970 */
  at: number;
  /** until it was confirmed, or had failed */
  ms: number;
  ok: boolean;
  /** of one that failed */
  why?: string;
}

export interface RoundSamples {
  round: Round;
  /** of the operations that ended; one that is missing hung until Caliper was stopped */
  samples: Sample[];
}

/** Caliper pauses 5 s between rounds, by itself. */
const PAUSE_MS = 5_000;
const START_MS = 30_000;

/**
 * Runs Caliper over these rounds, with one worker: the stock connector counts its account's nonces by itself.
 * @param workspace folder made anew; Caliper's log and its own report.html are left there
 * @param patienceMs how long a round may take beyond its time of sending; then Caliper is stopped and what is missing has failed
 */
export async function launchCaliper(options: {
  workspace: string;
  label: string;
  prepared: Prepared;
  rounds: Round[];
  patienceMs: number;
  signal: AbortSignal;
}): Promise<RoundSamples[]> {
  const { workspace, prepared, rounds, signal } = options;
  await rm(workspace, { recursive: true, force: true });
  await mkdir(workspace, { recursive: true });
  const file = (name: string) => join(workspace, name);
  const samplesFile = (index: number) => file(`samples-${index}.ndjson`);
  for (const index of rounds.keys()) {
    await writeFile(file(`requests-${index}.json`), JSON.stringify(prepared.requests[index]));
    await writeFile(samplesFile(index), '');
  }
  await writeFile(file('network.json'), JSON.stringify(prepared.network, null, 2), { mode: 0o600 });
  const benchmark = {
    test: {
      ...{ name: options.label, description: 'confirmed, not accepted', workers: { number: 1 } },
      rounds: rounds.map(({ operation, count, load }, index) => ({
        ...{ label: `${operation} at ${load}/s`, txNumber: count },
        rateControl: { type: 'fixed-rate', opts: { tps: load } },
        workload: {
          module: join(caliperFolder, 'workloads', 'prepared.cjs'),
          arguments: { requests: file(`requests-${index}.json`), samples: samplesFile(index) },
        },
      })),
    },
  };
  await writeFile(file('benchmark.json'), JSON.stringify(benchmark, null, 2)); // JSON is YAML
  const { PATH, HOME } = process.env;
  const child = startProcess({
    command: process.execPath,
    args: [
      ...[join(caliperCli, 'caliper.js'), 'launch', 'manager', '--caliper-workspace', workspace],
      ...['--caliper-networkconfig', 'network.json', '--caliper-benchconfig', 'benchmark.json'],
      ...['--caliper-flow-skip-install', '--caliper-report-path', 'report.html'],
      // It waits for one such interval, by default 5 s, after each round.
      ...['--caliper-progress-reporting-interval', '1000'],
    ],
    env: { PATH, HOME, TZ: 'UTC' },
    ...{ cwd: workspace, logFile: file('caliper.log'), pidFile: file('caliper.pid') },
  });
  const sendingMs = rounds.reduce((sum, { count, load }) => sum + (count / load) * 1_000, 0);
  // Its worker is in its process group, and would go on without it.
  const end = () => child.running() && process.kill(-child.pid, 'SIGKILL');
  const timer = setTimeout(end, START_MS + sendingMs + rounds.length * (PAUSE_MS + options.patienceMs));
  const onAbort = () => end();
  signal.addEventListener('abort', onAbort, { once: true });
  await child.ended;
  clearTimeout(timer);
  signal.removeEventListener('abort', onAbort);
  signal.throwIfAborted();
  return Promise.all(
    rounds.map(async (round, index) => {
      const lines = (await readFile(samplesFile(index), 'utf8')).split('\n').filter(Boolean);
      return { round, samples: lines.map((line) => JSON.parse(line) as Sample) };
    }),
  );
}
