import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../../deploy/geth/ports.js';
import { findRedis as find, startRedis as start } from '../../deploy/local/redis.js';

/** Path of redis-server, or undefined where none is installed. */
export function findRedis(): string | undefined {
  return find(process.env.PATH);
}

export interface TestRedis {
  url: string;
  /** SIGKILL; nothing is kept. */
  stop(): Promise<void>;
}

/** A Redis of this test alone, without persistence. */
export async function startRedis(file: string): Promise<TestRedis> {
  const [port, dir] = await Promise.all([freePort(), mkdtemp(join(tmpdir(), 'emr-redis-'))]);
  const redis = await start({ file, port, dir });
  return {
    url: redis.url,
    async stop() {
      await redis.kill();
      await rm(dir, { recursive: true, force: true });
    },
  };
}
