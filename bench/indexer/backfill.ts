import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import pg from 'pg';
import { projectRoot } from '../../deploy/local/layout.js';
import { type BenchPostgres, committedNumber } from './database.js';
import { type FollowedChain, IndexerUnderTest } from './indexer.js';

export interface Backfill {
  eventsPerSecond: number;
  events: number;
  seconds: number;
  rssMb: number | undefined;
  /** CPU that the program itself used in that time (the bare loop: since its start); undefined where there is no /proc. */
  cpuSeconds: number | undefined;
}

/** A mirror that a backfill has filled, with the indexer stopped. */
export interface Filled extends Backfill {
  indexer: IndexerUnderTest;
}

/**
 * From the moment the indexer leads, its mirror empty, to the commit that holds block `to`, as its notification tells.
 * @param env of the indexer beside the usual
 */
export async function indexerBackfill(given: {
  postgres: BenchPostgres;
  chain: FollowedChain;
  to: bigint;
  dir: string;
  signal: AbortSignal;
  env?: Record<string, string>;
}): Promise<Filled> {
  const { chain, to } = given;
  const database = await given.postgres.fresh('backfill');
  const dir = join(given.dir, 'backfill');
  mkdirSync(dir, { recursive: true });
  const indexer = new IndexerUnderTest({
    chain,
    databaseUrl: database.mirrorUrl,
    dir,
    signal: given.signal,
    env: given.env,
  });
  const listener = new pg.Client({ connectionString: database.mirrorUrl });
  await listener.connect();
  try {
    await listener.query('LISTEN mirror_commit');
    let ended: number | undefined;
    listener.on('notification', ({ payload }) => {
      if (committedNumber(payload) >= to) ended ??= performance.now();
    });
    await indexer.start();
    await indexer.until(({ phase }) => phase === 'catching-up' || phase === 'following');
    const [began, cpuBefore] = [performance.now(), indexer.cpuSeconds];
    await indexer.until(() => ended !== undefined, 100);
    const seconds = (ended! - began) / 1000;
    const { rows } = await listener.query<{ events: string }>(
      'SELECT count(*) AS events FROM mirror.emr_event WHERE block_number <= $1',
      [to.toString()],
    );
    const events = Number(rows[0]?.events);
    const { peakRssMb: rssMb, cpuSeconds: cpuAfter } = indexer;
    const cpuSeconds = cpuAfter === undefined || cpuBefore === undefined ? undefined : cpuAfter - cpuBefore;
    await indexer.stop();
    return { events, seconds, eventsPerSecond: Math.round(events / seconds), rssMb, cpuSeconds, indexer };
  } finally {
    await indexer.stop();
    await listener.end();
  }
}

/** The same blocks by the bare loop (bare-loop.main.ts). `events` counts sequenced events, as the mirror does: `Head` logs are overhead there too. */
export async function bareBackfill(
  postgres: BenchPostgres,
  chain: FollowedChain,
  to: bigint,
  events: number,
): Promise<Backfill> {
  const database = await postgres.fresh('bare');
  const program = join(projectRoot, 'dist', 'bench', 'indexer', 'bare-loop.main.js');
  const range = [`${chain.startBlock}`, `${to}`];
  const child = spawn(process.execPath, [program, chain.rpcUrl, chain.contract, ...range, database.ownerUrl], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout.on('data', (data: Buffer) => {
    output += data.toString();
  });
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0) throw new Error(`the bare loop ended with ${code}`);
  const { seconds, rssMb, cpuSeconds } = JSON.parse(output) as Record<'seconds' | 'rssMb' | 'cpuSeconds', number>;
  return { events, seconds, eventsPerSecond: Math.round(events / seconds), rssMb, cpuSeconds };
}
