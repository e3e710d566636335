// Behind every npm script: `node run.mjs <task>`. Needs nothing installed. It installs and builds what is missing or stale, says so,
// and then runs the task in this same process. When everything fits, that costs a few dozen milliseconds and prints nothing.
import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { TASKS } from './tasks/help.mjs';

const ROOT = dirname(fileURLToPath(import.meta.url));
const NODE_NEEDED = [20, 19];

/** Tasks that must be able to report or repair a tree that doesn't compile. */
const TOLERANT = new Set(['check', 'contracts']);

function say(text) {
  process.stderr.write(`emr: ${text}\n`);
}

// -- stamps ----------------------------------------------------------------------------------------------------------

/** @returns {string} what an installation must have been made from to fit: lockfile, Node version, platform */
export function installStamp(lockfile, nodeVersion = process.version) {
  return createHash('sha256')
    .update(lockfile)
    .update(`\0${nodeVersion} ${process.platform} ${process.arch}`)
    .digest('hex');
}

/**
 * Whether the tree that npm says it installed (`node_modules/.package-lock.json`) is what the lockfile asks for. It saves the
 * installation after an `npm ci` or `npm install` by hand. Optional packages of other platforms may be missing.
 */
export function treeFits(lockfile, hiddenLockfile) {
  const wanted = Object.entries(JSON.parse(lockfile).packages ?? {}).filter(([path]) => path !== '');
  const found = JSON.parse(hiddenLockfile).packages ?? {};
  const allows = (list, value) =>
    !list || list.includes(value) || (list[0]?.startsWith('!') && !list.includes(`!${value}`));
  return wanted.every(([path, entry]) => {
    const installed = found[path];
    if (installed) return installed.version === entry.version && installed.integrity === entry.integrity;
    const forThisMachine = allows(entry.os, process.platform) && allows(entry.cpu, process.arch) && !entry.libc;
    return Boolean(entry.optional || entry.devOptional) && (!(entry.os || entry.cpu) || !forThisMachine);
  });
}

/** Hash over the names and contents of all files below `folders` (and single files) whose path `wanted` accepts. */
export function contentHash(root, folders, wanted) {
  const hash = createHash('sha256');
  const visit = (path) => {
    const found = statSync(join(root, path), { throwIfNoEntry: false });
    if (found?.isDirectory()) {
      for (const name of readdirSync(join(root, path)).sort()) if (!IGNORED.has(name)) visit(`${path}/${name}`);
    } else if (found && wanted(path)) {
      hash.update(`${path}\0${found.size}\0`).update(readFileSync(join(root, path)));
    }
  };
  for (const folder of folders) visit(folder);
  return hash.digest('hex');
}

const IGNORED = new Set(['node_modules', 'dist', 'generated', 'out', 'cache', '.git']);

function readStamp(file) {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}

// -- lock ------------------------------------------------------------------------------------------------------------

const LOCK_STALE_MS = 30_000;
const LOCK_PATIENCE_MS = 20 * 60_000;

/**
 * One process at a time installs and builds. mkdir is atomic everywhere; the holder touches the folder, so that one left by a
 * killed process is recognised even where its process id is used again.
 * @returns {Promise<() => void>} gives the lock back
 */
export async function takeLock(folder, { staleMs = LOCK_STALE_MS, patienceMs = LOCK_PATIENCE_MS } = {}) {
  const token = `${process.pid} ${randomBytes(8).toString('hex')}`;
  mkdirSync(dirname(folder), { recursive: true });
  let said = false;
  for (const until = Date.now() + patienceMs; ; await new Promise((done) => setTimeout(done, 200))) {
    try {
      mkdirSync(folder);
      writeFileSync(join(folder, 'owner'), token);
      break;
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
    }
    const owner = readStamp(join(folder, 'owner'));
    if (isStale(folder, owner, staleMs)) {
      breakLock(folder, owner);
      continue;
    }
    if (!said) say(`another process (${owner?.split(' ')[0] ?? 'unknown'}) installs or builds; waiting for it`);
    said = true;
    if (Date.now() > until) throw new Error(`the lock ${folder} stays held; remove it if no other task runs`);
  }
  const beat = setInterval(() => {
    const now = new Date();
    try {
      utimesSync(folder, now, now);
    } catch {
      // somebody removed it; giving it back will notice too
    }
  }, staleMs / 6);
  beat.unref();
  const release = () => {
    clearInterval(beat);
    process.off('exit', release);
    if (readStamp(join(folder, 'owner')) === token) rmSync(folder, { recursive: true, force: true });
  };
  process.on('exit', release);
  return release;
}

function isStale(folder, owner, staleMs) {
  const touched = statSync(folder, { throwIfNoEntry: false })?.mtimeMs;
  if (touched === undefined) return false;
  if (Date.now() - touched > staleMs) return true;
  if (owner === undefined) return false; // being made
  try {
    process.kill(Number(owner.split(' ')[0]), 0);
    return false;
  } catch (error) {
    return error.code === 'ESRCH';
  }
}

/** Two may find the same stale lock: the rename has one winner, who then makes sure that it moved the stale one. */
function breakLock(folder, owner) {
  const aside = `${folder}.${randomBytes(4).toString('hex')}`;
  try {
    renameSync(folder, aside);
  } catch {
    return;
  }
  if (readStamp(join(aside, 'owner')) !== owner && !existsSync(folder)) renameSync(aside, folder);
  else rmSync(aside, { recursive: true, force: true });
}

// -- steps -----------------------------------------------------------------------------------------------------------

let child;

/** Runs to its end with our terminal; ends with us. @returns {Promise<number>} exit code */
function execute(command, args) {
  return new Promise((done, fail) => {
    child = spawn(command, args, { cwd: ROOT, stdio: ['ignore', 2, 2] });
    child.once('error', fail);
    child.once('exit', (code, signal) => {
      child = undefined;
      done(code ?? (signal ? 1 : 0));
    });
  });
}

async function install(lockfile, stampFile) {
  const args = [
    'ci',
    '--include=dev',
    '--include=optional',
    '--ignore-scripts',
    '--engine-strict=false',
    '--no-audit',
    '--no-fund',
    // Dozens of lines about engines of packages that do run here would bury what is going on. Errors stay.
    '--loglevel=error',
  ];
  const npm = process.env.npm_execpath ?? '';
  const code =
    basename(npm).startsWith('npm') && npm.endsWith('js')
      ? await execute(process.execPath, [npm, ...args])
      : await execute('npm', args);
  if (code !== 0) throw new Error(`npm ci ended with ${code}`);
  writeFileSync(stampFile, installStamp(lockfile));
}

const SOURCES = [
  'apps',
  'libs',
  'deploy',
  'tasks',
  'bench',
  'chaos',
  'caliper',
  'verifier',
  'tsconfig.json',
  'tsconfig.build.json',
  'package-lock.json',
];
const isSource = (path) => /\.(ts|mts|json)$/.test(path) && !path.endsWith('.spec.ts');
const CONTRACTS = ['libs/contracts/solidity', 'libs/contracts/scripts'];
const isContract = (path) => /\.(sol|mjs|json)$/.test(path) && !path.endsWith('.t.sol');
const GENERATED = 'libs/contracts/src/generated';

function staleness() {
  const lockfile = readFileSync(join(ROOT, 'package-lock.json'), 'utf8');
  const stamps = {
    install: join(ROOT, 'node_modules/.emr-install'),
    build: join(ROOT, 'dist/.emr-build'),
    contracts: join(ROOT, 'dist/.emr-contracts'),
  };
  const contracts = `${contentHash(ROOT, CONTRACTS, isContract)} ${installStamp(lockfile)}`;
  const build = `${contentHash(ROOT, SOURCES, isSource)} ${contracts}`;
  return {
    lockfile,
    stamps,
    wanted: { contracts, build },
    install: readStamp(stamps.install) !== installStamp(lockfile),
    contracts: readStamp(stamps.contracts) !== contracts || !existsSync(join(ROOT, GENERATED)),
    build: readStamp(stamps.build) !== build,
  };
}

async function prepare(task) {
  let state = staleness();
  if (!state.install && !state.contracts && !state.build) return;
  const release = await takeLock(join(ROOT, '.emr/bootstrap.lock'));
  try {
    state = staleness();
    if (state.install) await prepareInstall(state);
    if (state.contracts && existsSync(join(ROOT, 'libs/contracts/scripts/build.mjs'))) {
      say('compiling the ledger contract');
      const code = await execute(process.execPath, ['libs/contracts/scripts/build.mjs']);
      if (code !== 0) throw new Error(`compiling the contract ended with ${code}`);
      mkdirSync(join(ROOT, 'dist'), { recursive: true });
      writeFileSync(state.stamps.contracts, state.wanted.contracts);
    }
    if (state.build) await build(task, state);
  } finally {
    release();
  }
}

async function prepareInstall({ lockfile, stamps }) {
  const hidden = readStamp(join(ROOT, 'node_modules/.package-lock.json'));
  if (hidden !== undefined && treeFits(lockfile, hidden)) {
    writeFileSync(stamps.install, installStamp(lockfile));
    return;
  }
  say(
    `installing packages with npm ci: ${hidden === undefined ? 'none are here' : 'those here are of another lockfile'}`,
  );
  await install(lockfile, stamps.install);
}

async function build(task, state) {
  say(`building into dist/: ${existsSync(state.stamps.build) ? 'the sources changed' : 'nothing is built yet'}`);
  const code = await execute(process.execPath, ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json']);
  removeOrphans('dist');
  if (code === 0) return writeFileSync(state.stamps.build, state.wanted.build);
  rmSync(state.stamps.build, { force: true });
  if (!TOLERANT.has(task) || !existsSync(join(ROOT, 'dist/tasks', `${task}.js`)))
    throw new Error('the sources do not compile');
  say('the sources do not compile; going on, because this task reports it');
}

/** What was built from a source that is gone must not be found by an import. */
function removeOrphans(folder) {
  for (const entry of readdirSync(join(ROOT, folder), { withFileTypes: true })) {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory()) removeOrphans(path);
    else if (path.endsWith('.js') && !existsSync(join(ROOT, path.slice('dist/'.length, -'.js'.length).concat('.ts')))) {
      for (const file of [path, `${path}.map`]) if (existsSync(join(ROOT, file))) unlinkSync(join(ROOT, file));
    }
  }
}

// -- main ------------------------------------------------------------------------------------------------------------

function listTasks() {
  const width = Math.max(...Object.keys(TASKS).map((name) => name.length));
  return Object.entries(TASKS)
    .map(([name, { summary }]) => `  ${name.padEnd(width)}  ${summary}`)
    .join('\n');
}

/** npm answers a SIGTERM by ending alone: when our parent is gone, the same signal goes to ourselves. */
function watchParent() {
  const parent = process.ppid;
  if (!process.env.npm_lifecycle_event || parent === 1) return;
  const watch = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(watch);
    process.kill(process.pid, 'SIGTERM');
  }, 500);
  watch.unref();
}

async function main([task, ...args]) {
  if (!task || !Object.hasOwn(TASKS, task)) {
    if (task && !['help', '--help', '-h'].includes(task)) process.stderr.write(`There is no task "${task}".\n`);
    process.stderr.write(
      `Usage: node run.mjs TASK [options]\n${listTasks()}\n--help after a task says more about it.\n`,
    );
    return task && ['help', '--help', '-h'].includes(task) ? 0 : 2;
  }
  // A bench tells of its own options, once it is built.
  const ofBench = task === 'bench' && args[0] !== undefined && !args[0].startsWith('-');
  if (!ofBench && (args.includes('--help') || args.includes('-h'))) {
    process.stdout.write(`${TASKS[task].summary}\n\n${TASKS[task].usage}\n`);
    return 0;
  }
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major < NODE_NEEDED[0] || (major === NODE_NEEDED[0] && minor < NODE_NEEDED[1])) {
    throw new Error(`Node ${NODE_NEEDED.join('.')} or later is needed; this is ${process.versions.node}`);
  }
  process.chdir(ROOT);
  watchParent();
  const stop = (signal) => {
    child?.kill(signal);
    process.exit(signal === 'SIGINT' ? 130 : 143);
  };
  process.once('SIGINT', stop).once('SIGTERM', stop).once('SIGHUP', stop);
  await prepare(task);
  process.off('SIGINT', stop).off('SIGTERM', stop).off('SIGHUP', stop); // the task has its own ways to end
  const { run } = await import(pathToFileURL(join(ROOT, 'dist/tasks', `${task}.js`)).href);
  return (await run(args)) ?? 0;
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const args = process.argv.slice(2);
  try {
    process.exit(await main(args));
  } catch (error) {
    process.stderr.write(`emr: ${error?.stack ?? error}\n`);
    // Whoever reads the last line of the tests must not miss that they never ran.
    if (args[0] === 'test') process.stdout.write('0 passed, 1 failed\n');
    process.exit(1);
  }
}
