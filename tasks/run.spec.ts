import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

interface Bootstrap {
  installStamp(lockfile: string, nodeVersion?: string): string;
  treeFits(lockfile: string, hiddenLockfile: string): boolean;
  contentHash(root: string, folders: string[], wanted: (path: string) => boolean): string;
  takeLock(folder: string, options?: { staleMs?: number; patienceMs?: number }): Promise<() => void>;
}

const script = join(import.meta.dirname, '../run.mjs');
const bootstrap = (await import(/* @vite-ignore */ pathToFileURL(script).href)) as Bootstrap;

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'emr-run-spec-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

async function runScript(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const child = spawn(process.execPath, [script, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk) => {
    stdout += chunk;
  });
  child.stderr.on('data', (chunk) => {
    stderr += chunk;
  });
  const [code] = (await once(child, 'close')) as [number];
  return { code, stdout, stderr };
}

describe('the stamp of an installation', () => {
  it('changes with the lockfile and with the Node version', () => {
    const stamp = bootstrap.installStamp('{}', 'v20.19.0');
    expect(bootstrap.installStamp('{}', 'v20.19.0')).toBe(stamp);
    expect(bootstrap.installStamp('{ }', 'v20.19.0')).not.toBe(stamp);
    expect(bootstrap.installStamp('{}', 'v22.1.0')).not.toBe(stamp);
  });

  const lock = (packages: Record<string, object>) =>
    JSON.stringify({ packages: { '': { name: 'root' }, ...packages } });
  const a = { version: '1.0.0', integrity: 'sha512-a' };
  const foreign = { version: '1.0.0', optional: true, os: ['plan9'] };

  it('accepts a tree that npm installed from the same lockfile', () => {
    expect(bootstrap.treeFits(lock({ 'node_modules/a': a }), lock({ 'node_modules/a': a }))).toBe(true);
  });

  it('accepts that optional packages of other platforms are missing, but none of this one', () => {
    const own = { version: '1.0.0', optional: true, os: [process.platform], cpu: [process.arch] };
    expect(
      bootstrap.treeFits(lock({ 'node_modules/a': a, 'node_modules/f': foreign }), lock({ 'node_modules/a': a })),
    ).toBe(true);
    expect(
      bootstrap.treeFits(lock({ 'node_modules/a': a, 'node_modules/o': own }), lock({ 'node_modules/a': a })),
    ).toBe(false);
  });

  it('refuses a tree with another version, other bytes or a package less', () => {
    const wanted = lock({ 'node_modules/a': a });
    expect(bootstrap.treeFits(wanted, lock({ 'node_modules/a': { ...a, version: '1.0.1' } }))).toBe(false);
    expect(bootstrap.treeFits(wanted, lock({ 'node_modules/a': { ...a, integrity: 'sha512-b' } }))).toBe(false);
    expect(bootstrap.treeFits(wanted, lock({}))).toBe(false);
  });
});

describe('the content hash of the sources', () => {
  const isSource = (path: string) => path.endsWith('.ts');
  const hash = () => bootstrap.contentHash(folder, ['libs', 'tsconfig.ts', 'missing'], isSource);

  it('changes when a source changes, appears, moves or goes', () => {
    mkdirSync(join(folder, 'libs/a'), { recursive: true });
    writeFileSync(join(folder, 'libs/a/x.ts'), 'one');
    const seen = new Set([hash()]);
    writeFileSync(join(folder, 'libs/a/x.ts'), 'two');
    seen.add(hash());
    writeFileSync(join(folder, 'libs/a/y.ts'), 'two');
    seen.add(hash());
    rmSync(join(folder, 'libs/a/x.ts'));
    seen.add(hash());
    writeFileSync(join(folder, 'tsconfig.ts'), '');
    seen.add(hash());
    expect(seen.size).toBe(5);
  });

  it('stays when only times, other files or what is built change', () => {
    mkdirSync(join(folder, 'libs/dist'), { recursive: true });
    writeFileSync(join(folder, 'libs/x.ts'), 'one');
    const before = hash();
    utimesSync(join(folder, 'libs/x.ts'), 1, 1);
    writeFileSync(join(folder, 'libs/x.md'), 'text');
    writeFileSync(join(folder, 'libs/dist/x.ts'), 'built');
    expect(hash()).toBe(before);
  });
});

describe('the lock of the bootstrap', () => {
  it('lets one in at a time', async () => {
    const lock = join(folder, 'lock');
    const order: string[] = [];
    const release = await bootstrap.takeLock(lock);
    const second = bootstrap.takeLock(lock).then((releaseSecond) => {
      order.push('second in');
      releaseSecond();
    });
    order.push('first out');
    release();
    await second;
    expect(order).toEqual(['first out', 'second in']);
    expect(readdirSync(folder)).toEqual([]);
  });

  it('takes over a lock whose holder is gone', async () => {
    const child = spawn(process.execPath, ['-e', ''], { stdio: 'ignore' });
    await once(child, 'exit');
    const lock = join(folder, 'lock');
    mkdirSync(lock);
    writeFileSync(join(lock, 'owner'), `${child.pid} 00`);
    (await bootstrap.takeLock(lock))();
    expect(existsSync(lock)).toBe(false);
  });

  it('takes over a lock that nobody touches any more, though its process id is in use again', async () => {
    const lock = join(folder, 'lock');
    mkdirSync(lock);
    writeFileSync(join(lock, 'owner'), `${process.ppid} 00`);
    utimesSync(lock, 1, 1);
    (await bootstrap.takeLock(lock))();
    expect(existsSync(lock)).toBe(false);
  });

  it('gives up on a lock that stays held', async () => {
    const lock = join(folder, 'lock');
    const release = await bootstrap.takeLock(lock);
    await expect(bootstrap.takeLock(lock, { patienceMs: 0 })).rejects.toThrow(/stays held/);
    release();
  });
});

describe('run.mjs', () => {
  it('lists the tasks when there is none of that name', async () => {
    const { code, stderr } = await runScript('no-such-task');
    expect(code).toBe(2);
    expect(stderr).toContain('There is no task "no-such-task".');
    for (const name of ['start', 'test', 'check', 'bench']) expect(stderr).toContain(`  ${name}`);
  });

  it('explains every task without installing or building', async () => {
    for (const name of ['start', 'test', 'check', 'bench', 'contracts', 'migrate', 'geth']) {
      const { code, stdout, stderr } = await runScript(name, '--help');
      expect({ name, code, stderr }).toEqual({ name, code: 0, stderr: '' });
      expect(stdout).toContain(`npm ${['start', 'test'].includes(name) ? name : `run ${name}`}`);
    }
  });
});
