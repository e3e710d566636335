import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { isAlive, startProcess, stopLeftover } from '../geth/child-process.js';
import { freePort } from '../geth/ports.js';
import { lockSealer } from '../geth/sealer-lock.js';
import { assertPortsFree } from './ports.js';
import { type Service, type ServiceOptions, startService } from './processes.js';
import { lockState } from './state-lock.js';

let dir: string;
const services: Service[] = [];
const lines: string[] = [];
const logger = { info: (line: string) => void lines.push(line), warn: (line: string) => void lines.push(line) };

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'emr-processes-'));
  lines.length = 0;
});
afterEach(async () => {
  await Promise.all(services.splice(0).map((service) => service.stop()));
  await rm(dir, { recursive: true, force: true });
});

async function service(script: string, change: Partial<ServiceOptions> = {}): Promise<Service> {
  const port = await freePort();
  const file = join(dir, 'service.mjs');
  await writeFile(file, script);
  const started = await startService({
    ...{ title: 'the service', args: [file], env: { PORT: String(port) }, cwd: dir, logger },
    ...{ logFile: join(dir, 'log'), pidFile: join(dir, 'pid'), readyUrl: `http://127.0.0.1:${port}/`, ...change },
  });
  services.push(started);
  return started;
}

const healthy = `import { createServer } from 'node:http';
console.log('hello');
createServer((q, a) => a.end('ok')).listen(Number(process.env.PORT), '127.0.0.1');`;

describe('a service of the stack', () => {
  it('comes back when it is killed, and is gone when it is stopped', async () => {
    const one = await service(healthy);
    await one.ready();
    const first = one.pid();
    process.kill(first, 'SIGKILL');
    while (one.pid() === first) await new Promise((wake) => setTimeout(wake, 20));
    await one.ready();
    expect(lines.join()).toContain('the service ended (SIGKILL)');
    const second = one.pid();
    await one.stop();
    expect(isAlive(second)).toBe(false);
    expect(existsSync(join(dir, 'pid'))).toBe(false);
    expect(await readFile(join(dir, 'log'), 'utf8')).toBe('hello\nhello\n');
  });

  it('that keeps ending fails with the end of its log', async () => {
    const one = await service(`console.error('the reason'); process.exit(3);`);
    await expect(one.ready()).rejects.toThrow('the reason');
  });

  it('is given its own environment, and none of ours', async () => {
    const one = await service(
      `import { writeFileSync } from 'node:fs'; writeFileSync('env', Object.keys(process.env).join()); ${healthy}`,
    );
    await one.ready();
    const names = (await readFile(join(dir, 'env'), 'utf8')).split(',');
    expect(names).toContain('PORT');
    expect(names).not.toContain('VITEST');
  });
});

describe('what a killed start left', () => {
  it('is stopped by its pid file, unless that pid is somebody else by now', async () => {
    const file = join(dir, 'sleeper.mjs');
    await writeFile(file, 'setInterval(() => {}, 1000);');
    const files = { logFile: join(dir, 'log'), pidFile: join(dir, 'pid') };
    const child = startProcess({ command: process.execPath, args: [file], ...files });
    await writeFile(join(dir, 'copy'), `${child.pid}\n`);
    expect(await stopLeftover(join(dir, 'copy'), 'another program')).toBe(false);
    expect(isAlive(child.pid)).toBe(true);
    expect(await stopLeftover(files.pidFile, file)).toBe(true);
    expect(isAlive(child.pid)).toBe(false);
  });
});

describe('locks', () => {
  it('keep a second start off a state folder, naming the first', () => {
    const release = lockState(dir);
    expect(() => lockState(dir)).toThrow(`process ${process.pid}`);
    release();
    lockState(dir)();
  });

  it('of a dead process are taken over', async () => {
    await writeFile(join(dir, 'stack.lock'), '999999999 1');
    lockState(dir)();
    const address = `0x${'ab'.repeat(20)}`;
    await writeFile(join(dir, `${address}.json`), JSON.stringify({ pid: 999_999_999, started: '1', dir: '/nowhere' }));
    lockSealer(address, join(dir, 'node'), dir)();
  });
});

describe('ports', () => {
  let taken: Server | undefined;
  afterEach(() => new Promise<void>((resolve) => (taken ? taken.close(() => resolve()) : resolve())));

  it('that are taken are named, with the way to move', async () => {
    taken = createServer();
    await new Promise<void>((resolve) => taken?.listen(0, '127.0.0.1', resolve));
    const { port } = taken.address() as { port: number };
    const wanted = [{ port, name: 'the API of hospital A' }];
    await expect(assertPortsFree(wanted, 4100)).rejects.toThrow(/the API of hospital A[\s\S]*--ports 5100/);
  });
});
