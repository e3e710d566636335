import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { LiarBench, telling } from '../../../test/indexer/liar-bench.js';
import { chainEvents, mirroredEvents } from './chain-oracle.js';
import { IndexerProcess, writeNetworksFile } from './indexer-process.js';
import { lies } from './lies.js';
import { type Transpiled, transpileIndexer } from './transpile.js';

/** What an operator sees of a lie from outside: the process as it is run, with its own patience. */
describe('the indexer as a process, at a node that leaves out a log', () => {
  let bench: LiarBench;
  let program: Transpiled;
  let dir: string;
  let indexer: IndexerProcess;
  const leavesOut = lies.find(({ name }) => name.includes('drops a log'));

  beforeAll(async () => {
    [bench, program, dir] = await Promise.all([
      LiarBench.start(),
      transpileIndexer(),
      mkdtemp(join(tmpdir(), 'emr-lying-process-')),
    ]);
    const networksFile = await writeNetworksFile(dir, [{ ...bench.chain, name: 'local', rpcUrl: bench.node.path }]);
    indexer = new IndexerProcess({ main: program.main, databaseUrl: bench.mirrorUrl, networksFile });
    await indexer.start();
    await indexer.until(({ status }) => status === 'ready');
  });
  afterAll(async () => {
    await indexer?.stop();
    await bench?.stop();
    await program?.remove();
    if (dir) await rm(dir, { recursive: true, force: true });
  });

  const ready = () => indexer.get('/health/ready');

  it('is not ready, names the block, and keeps what is true', async () => {
    let number = 0n;
    await bench.node.holding(async () => {
      number = await bench.mine();
      const truths = [await bench.truthOf(number - 1n), await bench.truthOf(number)];
      bench.node.tell = telling(leavesOut!, truths);
    });
    await indexer.until(({ networks }) => networks.local?.phase === 'stopped');
    const { status, text } = await ready();
    expect(status).toBe(503);
    const told = JSON.parse(text) as { status: string; networks: Record<string, Record<string, string>> };
    expect(told.status).not.toBe('ready');
    expect(told.networks.local).toMatchObject({
      phase: 'stopped',
      stoppedReason: expect.stringContaining(`Block ${number} (0x`),
      cursor: { number: `${number - 1n}` },
    });
    expect(indexer.output).toContain('ALARM: the network local is no longer followed');
    expect((await indexer.get('/metrics')).text).toContain('emr_indexer_stopped{network="local"} 1');
    // Alive all the same: to start it anew would change nothing.
    expect((await indexer.get('/health/live')).status).toBe(200);
  });

  it('is ready again by itself once the node tells the truth, with every event', async () => {
    bench.node.tell = undefined;
    await indexer.until(({ status, networks }) => status === 'ready' && networks.local?.stoppedReason === undefined);
    expect((await ready()).status).toBe(200);
    const head = await bench.headNumber();
    await indexer.until(({ networks }) => networks.local?.cursor?.number === `${head}`);
    expect(await mirroredEvents(bench.sql)).toEqual(await chainEvents(bench.load, bench.chain.contract));
    expect((await indexer.get('/metrics')).text).toContain('emr_indexer_stopped{network="local"} 0');
  });
});
