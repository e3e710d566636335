import { accessSync, constants } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { Redis } from 'ioredis';
import { type ManagedProcess, startProcess, stopLeftover } from '../geth/child-process.js';

/** Path of redis-server on the PATH given, or undefined where none is installed. */
export function findRedis(path: string | undefined): string | undefined {
  for (const folder of (path ?? '').split(delimiter).filter(Boolean)) {
    const file = join(folder, 'redis-server');
    try {
      accessSync(file, constants.X_OK);
      return file;
    } catch {
      // the next folder
    }
  }
  return undefined;
}

export interface RedisServer {
  url: string;
  /** 0 between a crash and the next start. */
  pid(): number;
  /** SIGKILL, as a crash would; what it held is gone. */
  kill(): Promise<void>;
  /** After a kill: the same address again, empty. */
  start(): Promise<void>;
  stop(): Promise<void>;
}

/** A Redis of our own on 127.0.0.1, without persistence. @throws Error when it doesn't answer in ten seconds */
export async function startRedis(options: { file: string; port: number; dir: string }): Promise<RedisServer> {
  const { file, port, dir } = options;
  const url = `redis://127.0.0.1:${port}`;
  const pidFile = join(dir, 'redis.pid');
  await mkdir(dir, { recursive: true });
  await stopLeftover(pidFile, `redis-server 127.0.0.1:${port}`);
  let running: ManagedProcess | undefined;
  const start = async () => {
    running = startProcess({
      command: file,
      args: ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', dir],
      logFile: join(dir, 'redis.log'),
      pidFile,
    });
    const probe = new Redis(url, { retryStrategy: () => 50, maxRetriesPerRequest: 200 });
    probe.on('error', () => undefined);
    await probe.ping().finally(() => probe.disconnect());
  };
  await start();
  return {
    url,
    pid: () => (running?.running() ? running.pid : 0),
    kill: async () => running?.kill(),
    start,
    stop: async () => running?.stop(5_000),
  };
}
