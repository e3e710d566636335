import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import type { Logger } from '../geth/program.js';
import { runDemo } from './demo/demo.js';
import { updateEndpoints } from './endpoints.js';
import { layoutOf } from './layout.js';
import { parseOptions, type StartOptions, usage } from './options.js';
import { removePostgres } from './postgres.js';
import { type RunningStack, startStack, stopLeftovers } from './stack.js';
import { lockState } from './state-lock.js';
import { summaryOf } from './summary.js';

/**
 * `npm start`: two hospitals on this machine, sample data loaded through the REST API.
 * @returns exit code once everything has been stopped
 */
export async function run(args: string[]): Promise<number> {
  let options: StartOptions;
  try {
    options = parseOptions(args);
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n\n${usage}\n`);
    return 2;
  }
  if (options.help) {
    process.stdout.write(`${usage}\n`);
    return 0;
  }

  const began = performance.now();
  const logger = progress(began);
  const stopping = new AbortController();
  const signalled = new Promise<NodeJS.Signals>((resolve) => {
    let count = 0;
    const onSignal = (signal: NodeJS.Signals) => {
      count += 1;
      if (count === 1) logger.info('stopping; everything confirmed is kept');
      else if (count === 3) process.exit(130); // the nodes then get a SIGTERM each, and the next start clears up
      stopping.abort(new Error('stopped while it was starting'));
      resolve(signal);
    };
    process.on('SIGINT', onSignal).on('SIGTERM', onSignal).on('SIGHUP', onSignal);
  });

  let release: () => void = () => {};
  let stack: RunningStack | undefined;
  let failure: Error | undefined;
  try {
    release = lockState(options.state);
    const layout = layoutOf(options.state, options.base);
    if (options.fresh) await removeState(options.state, options.base, logger);
    stack = await startStack({ layout, base: options.base, logger, env: process.env, signal: stopping.signal });
    await updateEndpoints(stack, logger, stopping.signal);
    const report = options.demo ? await runDemo(stack, logger, stopping.signal) : undefined;
    process.stdout.write(`${summaryOf(stack, report, (performance.now() - began) / 1000)}\n`);
    if (!options.exit) {
      process.stdout.write('Ctrl-C stops everything; the next start goes on from here.\n');
      await signalled;
    }
  } catch (error) {
    // A Ctrl-C reaches what we wait for as well as us, and its failure may be heard first.
    await new Promise((next) => setTimeout(next, 50));
    if (!stopping.signal.aborted) failure = error as Error;
  }
  if (failure) process.stderr.write(`\nThis did not work: ${failure.message}\n`);
  if (failure && stack) process.stderr.write(`Logs are in ${join(options.state, 'hospital-*', 'logs')}\n`);
  await stack?.stop();
  release();
  logger.info('stopped');
  if (failure) return 1;
  return stopping.signal.aborted && options.exit ? 130 : 0;
}

/** Everything of an earlier start but the lock we hold. */
export async function removeState(dir: string, base: number, logger: Logger): Promise<void> {
  const layout = layoutOf(dir, base);
  await stopLeftovers(layout, logger);
  await removePostgres(layout.postgres.dir);
  for (const name of await readdir(dir)) {
    if (name !== 'stack.lock') await rm(join(dir, name), { recursive: true, force: true });
  }
  logger.info(`starting from nothing: ${dir} is empty`);
}

function progress(began: number): Logger {
  const at = () => `${((performance.now() - began) / 1000).toFixed(1).padStart(6)} s`;
  return {
    info: (message) => process.stdout.write(`${at()}  ${message}\n`),
    warn: (message) => process.stdout.write(`${at()}  ! ${message}\n`),
  };
}
