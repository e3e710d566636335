import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { lockState } from '../deploy/local/state-lock.js';
import { type CampaignContext, measureCell, withCampaign } from './campaign.js';
import type { Run } from './figures.js';
import { type Installed, installCaliper } from './install.js';
import { type Cell, cellName } from './matrix.js';
import { type CaliperOptions, parseOptions } from './options.js';
import { writeReport } from './report/report.js';

/** What a measured cell leaves in the state folder, so that a matrix of hours can go on where it ended. */
interface KeptCell {
  runs: Run[];
  geth: string;
  seconds: number;
}

/** `npm run caliper`. @returns exit code: 0 when everything that was measured had a result */
export async function run(args: string[], env: NodeJS.ProcessEnv): Promise<number> {
  let options: CaliperOptions;
  try {
    options = parseOptions(args);
  } catch (error) {
    process.stderr.write(`${(error as Error).message}; npm run caliper -- --help lists what there is\n`);
    return 2;
  }
  const began = performance.now();
  const log = (message: string) =>
    process.stdout.write(`${((performance.now() - began) / 1000).toFixed(1).padStart(7)} s  ${message}\n`);
  const stopping = new AbortController();
  const onSignal = () => stopping.abort(new Error('stopped by a signal; --resume goes on from the last whole network'));
  // Not once: npm passes on what the terminal sends us as well, and a second one would end us before the nodes.
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal).on('SIGHUP', onSignal);
  await mkdir(options.state, { recursive: true });
  const release = lockState(options.state);
  try {
    const installed = await installCaliper(env.npm_execpath, log);
    if (!options.resume) await rm(join(options.state, options.matrix.name), { recursive: true, force: true });
    const missing: Cell[] = [];
    for (const cell of options.cells) if ((await kept(cellFile(options, cell))) === undefined) missing.push(cell);
    log(`${missing.length} networks to measure, ${options.cells.length - missing.length} measured by an earlier run`);
    if (missing.length > 0) {
      await withCampaign({ ...options, env, log, signal: stopping.signal }, (context) =>
        measureAll(options, missing, context, log),
      ).catch((error: Error) => {
        if (!stopping.signal.aborted) throw error;
        log(`! ${error.message}`); // what was measured until then is reported
      });
    }
    return await report(options, installed, log);
  } finally {
    release();
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal).off('SIGHUP', onSignal);
  }
}

const cellsFolder = ({ state, matrix }: CaliperOptions) => join(state, matrix.name, 'cells');
const cellFile = (options: CaliperOptions, cell: Cell) => join(cellsFolder(options), `${cellName(cell)}.json`);

async function measureAll(
  options: CaliperOptions,
  cells: Cell[],
  context: CampaignContext,
  log: (text: string) => void,
): Promise<void> {
  await mkdir(cellsFolder(options), { recursive: true });
  for (const [index, cell] of cells.entries()) {
    const file = cellFile(options, cell);
    const title = `${index + 1}/${cells.length} ${cellName(cell)}`;
    log(title);
    const began = performance.now();
    const measured = await measureCell(context, cell, options.matrix.rounds(cell), index).catch((error: Error) => {
      context.signal.throwIfAborted();
      log(`! ${title}: no result: ${error.message}`);
    });
    if (!measured) continue;
    const { runs, geth } = measured;
    const seconds = Math.round((performance.now() - began) / 1000);
    await writeFile(file, JSON.stringify({ runs, geth, seconds } satisfies KeptCell, null, 2));
    log(`${title}: ${runs.reduce((sum, { succeeded }) => sum + succeeded, 0)} confirmed, ${seconds} s`);
  }
}

async function kept(file: string): Promise<KeptCell | undefined> {
  const text = await readFile(file, 'utf8').catch(() => undefined);
  return text === undefined ? undefined : JSON.parse(text);
}

/** Of every cell of the matrix there is a result of, also from earlier runs. */
async function report(options: CaliperOptions, installed: Installed, log: (text: string) => void): Promise<number> {
  const cells = (await Promise.all(options.matrix.cells.map((cell) => kept(cellFile(options, cell))))).flatMap(
    (cell) => cell ?? [],
  );
  const runs = cells.flatMap((cell) => cell.runs);
  const geth = [...new Set(cells.map((cell) => cell.geth))].sort();
  const facts = {
    ...{ matrix: options.matrix.name, command: options.command, geth, ...installed },
    ...{ measuredCells: cells.length, cells: options.matrix.cells.length },
    seconds: cells.reduce((sum, { seconds }) => sum + seconds, 0),
  };
  const files = await writeReport(options.out, runs, facts);
  if (options.json)
    await writeFile(options.json, `${JSON.stringify({ ...facts, machine: files.machine, runs }, null, 2)}\n`);
  log(`report: ${files.markdown}`);
  const wanted = options.cells.every((cell) => runs.some((run) => cellName(run) === cellName(cell)));
  return wanted && runs.every(({ succeeded }) => succeeded > 0) ? 0 : 1;
}
