import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findClef, findGeth } from '../deploy/geth/binary.js';
import { freeBase } from '../deploy/geth/ports.js';
import { onPath, runChild } from './child.js';
import { add, type Counts, closingLine, countChaos, countForge, countVitest, nothing } from './test-counts.js';

interface Suite {
  name: string;
  about: string;
  run(context: Context): Promise<Counts>;
}

interface Context {
  root: string;
  scratch: string;
  env: NodeJS.ProcessEnv;
}

const MINUTE_MS = 60_000;

/** What the subset of `npm test` consists of: one of each kind of trouble. */
const CHAOS = [
  ...['accept', 'partition', 'send', 'index', 'pause', 'rpc', 'node-kill', 'power-loss', 'redis', 'postgres'],
  ...['restore', 'database-loss', 'foreign', 'status-0'],
];

const SUITES: Suite[] = [
  { name: 'contracts', about: 'ledger contract, with forge', run: forge },
  { name: 'slither', about: 'static analysis of the contract', run: slither },
  { name: 'unit', about: 'unit tests', run: (context) => vitest('unit', 6 * MINUTE_MS, context) },
  {
    name: 'integration',
    about: 'against real services',
    run: (context) => vitest('integration', 12 * MINUTE_MS, context),
  },
  { name: 'chaos', about: 'kills and faults under load, five minutes of them', run: chaos },
  { name: 'e2e', about: 'two hospitals over HTTP', run: (context) => vitest('e2e', 12 * MINUTE_MS, context) },
];

/** Runs the suites named in `args`, or all. The last line printed is the sum: `N passed, N failed`, and `N skipped` where something was. */
export async function run(args: string[]): Promise<number> {
  const unknown = args.filter((name) => !SUITES.some((suite) => suite.name === name));
  if (unknown.length > 0) {
    process.stderr.write(
      `There is no suite ${unknown.join(', ')}. Suites: ${SUITES.map(({ name }) => name).join(', ')}\n`,
    );
    return 2;
  }
  const chosen = SUITES.filter(({ name }) => args.length === 0 || args.includes(name));
  const scratch = mkdtempSync(join(tmpdir(), 'emr-test-'));
  process.once('exit', () => rmSync(scratch, { recursive: true, force: true })); // after a signal too
  let total = nothing;
  const lines: string[] = [];
  const context: Context = { root: process.cwd(), scratch, env: environment() };
  const missing = await tools(context);
  for (const [index, suite] of chosen.entries()) {
    heading(`${index + 1}/${chosen.length} ${suite.name}: ${suite.about}`);
    const started = Date.now();
    const counts = await suite.run(context).catch((error: Error): Counts => {
      process.stdout.write(`${error.stack}\n`);
      return { ...nothing, failed: 1, failedNames: [`${suite.name}: ${error.message}`] };
    });
    lines.push(`${suite.name}: ${closingLine(counts)}, ${Math.round((Date.now() - started) / 1000)} s`);
    process.stdout.write(`${lines.at(-1)}\n`);
    total = add(total, counts);
  }
  heading('result');
  for (const line of lines) process.stdout.write(`${line}\n`);
  summary('Failed', total.failedNames);
  summary('Skipped', total.skippedNames);
  if (total.skipped > 0) summary('Missing on this machine', missing);
  process.stdout.write(`${closingLine(total)}\n`);
  return total.failed > 0 ? 1 : 0;
}

/** Looks for what the suites use beside the packages, and passes the geth found on. @returns what is missing, and what that costs */
async function tools(context: Context): Promise<string[]> {
  const missing: string[] = [];
  const say = (message: string) => process.stdout.write(`${message}\n`);
  const geth = await findGeth({ env: context.env, logger: { info: say, warn: say } });
  if (geth) context.env.GETH_BIN = geth.path;
  else missing.push('geth (and Go to build it): tests of real nodes use Anvil or are skipped');
  const pow = await findGeth({ env: context.env, logger: { info: say, warn: say }, build: false }, 'pow');
  if (pow) context.env.GETH_POW_BIN = pow.path;
  else missing.push('a geth that mines (npm run geth -- pow builds it): the proof-of-work geneses meet no real node');
  const clef = await findClef({ env: context.env, logger: { info: say, warn: say } });
  if (clef) context.env.CLEF_BIN = clef.path;
  else missing.push('clef (and Go to build it): signing elsewhere is tried against a stand-in alone');
  if (!onPath('redis-server', context.env)) missing.push('redis-server: the queue is tested on Postgres alone');
  if (!onPath('slither', context.env)) missing.push('slither: no static analysis of the contract');
  for (const line of missing) say(`missing: ${line}`);
  return missing;
}

async function forge({ root, env }: Context): Promise<Counts> {
  const script = join(root, 'libs/contracts/scripts/forge-test.mjs');
  const { code, output, timedOut } = await runChild(process.execPath, [script], { env, timeoutMs: 8 * MINUTE_MS });
  return countForge(output, timedOut ? undefined : code);
}

async function slither({ root, env }: Context): Promise<Counts> {
  const name = 'slither: static analysis of the ledger contract';
  if (!onPath('slither', env)) {
    process.stdout.write('skipped: there is no slither on the PATH (it is on PyPI: slither-analyzer)\n');
    return { ...nothing, skipped: 1, skippedNames: [`${name} (no slither on the PATH)`] };
  }
  const script = join(root, 'libs/contracts/scripts/slither.mjs');
  const { code, timedOut } = await runChild(process.execPath, [script], { env, timeoutMs: 5 * MINUTE_MS });
  if (code === 0 && !timedOut) return { ...nothing, passed: 1 };
  return { ...nothing, failed: 1, failedNames: [`${name} (${timedOut ? 'took too long' : `ended with ${code}`})`] };
}

async function vitest(project: string, timeoutMs: number, { root, scratch, env }: Context): Promise<Counts> {
  const file = join(scratch, `${project}.json`);
  const runner = join(root, 'node_modules/vitest/vitest.mjs');
  const args = ['run', '--project', project, '--reporter=default', '--reporter=json', `--outputFile.json=${file}`];
  const { code, output, timedOut } = await runChild(process.execPath, [runner, ...args], { env, timeoutMs });
  if (timedOut) process.stdout.write(`${project}: ended after ${timeoutMs / MINUTE_MS} minutes\n`);
  const report = existsSync(file) ? readFileSync(file, 'utf8') : undefined;
  return countVitest(project, report, { code: timedOut ? undefined : code, output }, root);
}

/** A few scenarios with fixed seeds; each run counts as one test. All of them, and more: npm run chaos. */
async function chaos({ root, scratch, env }: Context): Promise<Counts> {
  if (!(await findGeth({ env, logger: { info: () => {}, warn: () => {} }, build: false }))) {
    process.stdout.write('skipped: there is no geth\n');
    return { ...nothing, skipped: 1, skippedNames: ['chaos (no geth that can seal Clique)'] };
  }
  const file = join(scratch, 'chaos.json');
  const args = ['--seed', '1', '--runs', String(CHAOS.length), '--only', CHAOS.join(','), '--seconds', '260'];
  const base = String(await freeBase(31));
  const { code, timedOut } = await runChild(
    process.execPath,
    [join(root, 'run.mjs'), 'chaos', ...args, '--json', file, '--ports', base, '--state', join(scratch, 'chaos')],
    { env, timeoutMs: 9 * MINUTE_MS },
  );
  return countChaos(existsSync(file) ? readFileSync(file, 'utf8') : undefined, timedOut ? undefined : code);
}

function heading(text: string): void {
  process.stdout.write(`\n── ${text} ${'─'.repeat(Math.max(0, 100 - text.length))}\n`);
}

function summary(title: string, names: string[]): void {
  if (names.length > 0) process.stdout.write(`${title}:\n${names.map((name) => `  ${name}\n`).join('')}`);
}

/** The children write into a pipe; whether colours are wanted is asked of our own terminal. (FORCE_COLOR=0 counts as wanted for some.) */
function environment(): NodeJS.ProcessEnv {
  const { FORCE_COLOR: _ignored, ...rest } = process.env;
  return { ...rest, NODE_ENV: 'test', ...(process.stdout.isTTY ? { FORCE_COLOR: '1' } : { NO_COLOR: '1' }) };
}
