import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isAlive } from '../../deploy/geth/child-process.js';
import { freeBase, isFree } from '../../deploy/geth/ports.js';
import { layoutOf, PORT_RANGE, projectRoot } from '../../deploy/local/layout.js';
import { removePostgres } from '../../deploy/local/postgres.js';

let state: string;
let base: number;
const started: ChildProcess[] = [];

beforeAll(async () => {
  state = await mkdtemp(join(tmpdir(), 'emr-start-'));
  base = await freeBase(PORT_RANGE);
});
afterAll(async () => {
  for (const child of started) if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM');
  await removePostgres(join(state, 'postgres'));
  await rm(state, { recursive: true, force: true });
});

interface Run {
  child: ChildProcess;
  output(): string;
  ended: Promise<number | null>;
}

/** `npm start -- …`, as a newcomer types it, npm itself left out. */
function start(...args: string[]): Run {
  const child = spawn(process.execPath, ['run.mjs', 'start', '--ports', String(base), '--state', state, ...args], {
    cwd: projectRoot,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  started.push(child);
  let text = '';
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk) => (text += chunk));
  const ended = new Promise<number | null>((resolve) => child.once('exit', (code) => resolve(code)));
  return { child, output: () => text, ended };
}

async function shows(run: Run, what: RegExp): Promise<void> {
  let over = false;
  void run.ended.then(() => {
    over = true;
  });
  while (!what.test(run.output())) {
    if (over) throw new Error(`ended before it showed ${what}:\n${run.output().slice(-3_000)}`);
    await new Promise((wake) => setTimeout(wake, 50));
  }
}

/** Every process the state folder knows of. */
async function pids(): Promise<number[]> {
  const files = layoutOf(state, base).hospitals.flatMap(({ run, nodes }) => [
    join(run, 'gateway.pid'),
    join(run, 'indexer.pid'),
    join(nodes.local, 'geth.pid'),
    join(nodes.global, 'geth.pid'),
  ]);
  const texts = await Promise.all(files.map((file) => readFile(file, 'utf8').catch(() => '')));
  return texts.filter((text) => text !== '').map(Number);
}

describe('npm start', () => {
  it('names a taken port and the way to move, and ends with 1', async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(base + 11, '127.0.0.1', resolve));
    const run = start('--exit');
    expect(await run.ended).toBe(1);
    expect(run.output()).toContain(`${base + 11}, for the management port of hospital B's gateway`);
    expect(run.output()).toContain('--ports');
    await new Promise((resolve) => server.close(resolve));
  });

  it('killed in the middle of its work is made whole by the next start, which does all there is to do and ends with 0', async () => {
    const first = start();
    await shows(first, /demo: 5\/16/);
    const left = await pids();
    expect(left.length).toBeGreaterThanOrEqual(4);
    first.child.kill('SIGKILL');
    await first.ended;
    expect(left.every(isAlive)).toBe(true); // what a SIGKILL can't take along

    const second = start('--exit');
    const code = await second.ended;
    expect(`${code}\n${second.output()}`).toMatch(/^0\n/);
    const output = second.output();
    expect(output).toMatch(/1\/16 patient-01.json .* is there from an earlier start/);
    expect(output).toMatch(/16\/16 patient-16.json .* uploaded and opened/);
    expect(output).toMatch(
      /16 records opened at hospital A, 18 queries confirmed .* 2 records transferred to hospital B, 1 query refused/,
    );
    expect(output).not.toMatch(/! .*quarantin/);
    expect(left.some(isAlive)).toBe(false);
    expect(await pids()).toEqual([]);
  }, 400_000);

  it('resumes with nothing lost and nothing doubled, and Ctrl-C ends everything', async () => {
    const third = start();
    await shows(third, /Ctrl-C stops everything/);
    const output = third.output();
    expect(output).toContain('Everything was there from an earlier start');
    const other = start('--exit');
    expect(await other.ended).toBe(1);
    expect(other.output()).toContain('already running');

    const running = await pids();
    third.child.kill('SIGINT');
    expect(await third.ended).toBe(0);
    expect(running.some(isAlive)).toBe(false);
    expect(await isFree(base + 30)).toBe(true);
  });
});
