import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { lockState } from '../deploy/local/state-lock.js';
import { type Backfill, bareBackfill, indexerBackfill } from './indexer/backfill.js';
import { loadedChain } from './indexer/chain.js';
import { startBenchPostgres } from './indexer/database.js';
import type { Given } from './indexer/follower.js';
import type { IndexerUnderTest } from './indexer/indexer.js';
import { liveCommits } from './indexer/live.js';
import { chainBehind } from './indexer/node.js';
import { type IndexerBenchOptions, parseIndexerOptions, usage } from './indexer/options.js';
import { patientPages } from './indexer/patient-page.js';
import { reorganisation } from './indexer/reorganisation.js';
import { percentile, publish } from './report.js';

const RESTARTS = 5;

export async function run(args: string[]): Promise<number> {
  const options = parseIndexerOptions(args);
  if (options.help) {
    process.stdout.write(`${usage}\n`);
    return 0;
  }
  const began = performance.now();
  const log = (message: string) => {
    process.stdout.write(`${((performance.now() - began) / 1000).toFixed(1).padStart(6)} s  ${message}\n`);
  };
  const { state } = options;
  mkdirSync(state, { recursive: true });
  const release = lockState(state);
  const logger = { info: log, warn: (message: string) => log(`! ${message}`) };
  const stopping = new AbortController();
  const onSignal = () => stopping.abort(new Error('stopped by a signal'));
  process.once('SIGINT', onSignal).once('SIGTERM', onSignal);
  const { signal } = stopping;
  const postgres = await startBenchPostgres(state, options.port);
  try {
    const given: Given = { postgres, dir: state, logger, signal };
    const backfills = await measureBackfills(given, options, log);
    signal.throwIfAborted();
    log('live commits');
    const live = await liveCommits(given);
    signal.throwIfAborted();
    log('a 40-deep reorganisation');
    const reorganised = await reorganisation(given);
    signal.throwIfAborted();
    log('pages of a patient');
    const pages = options.rows === 0 ? [] : await patientPages(postgres, options.rows, log);
    const figures = {
      ...backfills,
      liveCommitP50Ms: percentile(live, 50),
      liveCommitP99Ms: percentile(live, 99),
      liveCommits: live.length,
      reorg40Ms: Math.round(reorganised.milliseconds),
      reorgOrphanedEvents: reorganised.orphaned,
      reorgSlowestReadMs: Math.round(reorganised.slowestReadMs * 10) / 10,
      reorgReads: reorganised.reads,
      ...(pages.length === 0
        ? {}
        : {
            ...{ patientPageP50Ms: percentile(pages, 50), patientPageP99Ms: percentile(pages, 99) },
            patientPageRows: options.rows,
          }),
    };
    publish('the mirror: backfill, live, reorganisation, restart, a patient’s page', figures, options.json);
    process.stdout.write(
      `verified ${figures.verifiedEventsPerSecond} events/s, ${figures.verifiedRatioToBareLoop} of the bare loop's ${figures.bareLoopEventsPerSecond}\n`,
    );
    return 0;
  } finally {
    await postgres.stop();
    release();
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal);
  }
}

async function measureBackfills(given: Given, options: IndexerBenchOptions, log: (message: string) => void) {
  const { postgres, dir, logger, signal } = given;
  const own =
    options.node === undefined
      ? await loadedChain({
          ...{ logger, log, signal, blocks: options.blocks, events: options.events },
          dir: join(dir, `chain-${options.blocks}x${options.events}`),
        })
      : undefined;
  try {
    const { chain, to, client } = await chainBehind(
      own ? { rpc: own.rpcUrl, contract: own.ledger.contract, start: BigInt(own.ledger.startBlock) } : options.node!,
    );
    const bare: Backfill[] = [];
    const verified: Backfill[] = [];
    const believed: Backfill[] = [];
    let restarts: number[] = [];
    const tell = (how: string, { eventsPerSecond, events, seconds, rssMb }: Backfill) =>
      log(`  ${eventsPerSecond} events/s ${how}: ${events} in ${seconds.toFixed(1)} s, ${rssMb} MiB`);
    for (let turn = 1; turn <= options.repeat; turn++) {
      log(`turn ${turn} of ${options.repeat}: blocks ${chain.startBlock} to ${to}`);
      const unchecked = await indexerBackfill({ postgres, chain, to, dir, signal, env: { VERIFICATION: 'off' } });
      believed.push(unchecked);
      tell('by the indexer, VERIFICATION=off', unchecked);
      signal.throwIfAborted();
      const loop = await bareBackfill(postgres, chain, to, unchecked.events);
      bare.push(loop);
      tell('by the bare loop', loop);
      const filled = await indexerBackfill({ postgres, chain, to, dir, signal });
      verified.push(filled);
      tell('by the indexer', filled);
      if (turn === options.repeat) restarts = await restart(filled.indexer);
    }
    const bareLoopEventsPerSecond = median(bare);
    const backfillEventsPerSecond = median(believed);
    const verifiedEventsPerSecond = median(verified);
    return {
      ...{ verifiedEventsPerSecond, backfillEventsPerSecond, bareLoopEventsPerSecond },
      ratioToBareLoop: ratio(backfillEventsPerSecond, bareLoopEventsPerSecond),
      verifiedRatioToBareLoop: ratio(verifiedEventsPerSecond, bareLoopEventsPerSecond),
      spread: { verified: spread(verified), backfill: spread(believed), bareLoop: spread(bare) },
      // Of the program alone: the node's and the database's work is not in it.
      cpuMicrosPerEvent: { verified: cpu(verified), backfill: cpu(believed), bareLoop: cpu(bare) },
      restartReadyMs: Math.round(percentile(restarts, 50)),
      restartReadyMaxMs: Math.round(percentile(restarts, 100)),
      rssMb: Math.max(...verified.map(({ rssMb }) => rssMb ?? Number.NaN)),
      bareLoopRssMb: Math.max(...bare.map(({ rssMb }) => rssMb ?? Number.NaN)),
      ...{ events: verified[0]?.events, blocks: Number(to - chain.startBlock) + 1, node: client },
    };
  } finally {
    await own?.stop();
  }
}

/** Killed in the open, started again: until it says that it is ready. @returns milliseconds of each try */
async function restart(indexer: IndexerUnderTest): Promise<number[]> {
  const times: number[] = [];
  for (let attempt = 0; attempt < RESTARTS; attempt++) {
    const began = performance.now();
    await indexer.start();
    await indexer.until((_network, status) => status === 'ready');
    times.push(performance.now() - began);
    await indexer.kill();
  }
  return times;
}

function median(backfills: readonly Backfill[]): number {
  return Math.round(
    percentile(
      backfills.map(({ eventsPerSecond }) => eventsPerSecond),
      50,
    ),
  );
}

function cpu(backfills: readonly Backfill[]): number {
  const micros = backfills.map(({ cpuSeconds, events }) => ((cpuSeconds ?? Number.NaN) / events) * 1e6);
  return Math.round(percentile(micros, 50));
}

function spread(backfills: readonly Backfill[]): string {
  const speeds = backfills.map(({ eventsPerSecond }) => eventsPerSecond);
  return `${Math.min(...speeds)} to ${Math.max(...speeds)}`;
}

function ratio(a: number, b: number): number {
  return Math.round((a / b) * 100) / 100;
}
