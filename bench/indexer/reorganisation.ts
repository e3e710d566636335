import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { freshChain, prepareRecords, send } from './chain.js';
import { committedNumber } from './database.js';
import { type Given, withFollower } from './follower.js';

export interface Reorganised {
  milliseconds: number;
  /** Events that were set aside. */
  orphaned: number;
  /** Reads that ran meanwhile, and how long the slowest took. */
  reads: number;
  slowestReadMs: number;
}

const DEPTH = 40;
const FINALITY = 64;
const ACTS = 10;
const RECORDS = 100;
const READERS = 2;
const PATIENCE_MS = 30_000;

/**
 * 40 blocks of ten events give way to 41 others of ten. The indexer is held while the node changes its mind, so that it meets the new
 * history whole, as after a partition; the time is from its waking to the commit that holds the last new block. Readers page through the
 * newest events all along.
 */
export async function reorganisation({ postgres, dir, logger, signal }: Given): Promise<Reorganised> {
  const chain = await freshChain({ dir: join(dir, 'reorganised-chain'), kind: 'anvil', logger });
  try {
    const acts = await prepareRecords(chain, RECORDS);
    return await withFollower({ postgres, dir, signal, chain, finalityDepth: FINALITY }, async (follower) => {
      const { indexer, database, listener } = follower;
      const snapshot = await chain.rpc.request<string>('evm_snapshot');
      const { nonce } = acts;
      for (let block = 0; block < DEPTH; block++) await send(chain, acts, acts.query(ACTS));
      const oldTip = await blockNumber();
      await indexer.until(({ cursor }) => cursor?.number === `${oldTip}`);

      indexer.pause();
      await chain.rpc.request('evm_revert', [snapshot]);
      acts.nonce = nonce;
      for (let block = 0; block <= DEPTH; block++) await send(chain, acts, acts.query(ACTS));
      const newTip = await blockNumber();
      let ended: number | undefined;
      listener.on('notification', ({ payload }) => {
        if (committedNumber(payload) >= newTip) ended ??= performance.now();
      });
      const over = () => ended !== undefined;
      const reading = Array.from({ length: READERS }, () => readUntil(over, database.gatewayUrl));
      await sleep(200); // until they read
      const began = performance.now();
      indexer.resume();
      for (const deadline = Date.now() + PATIENCE_MS; !over() && Date.now() < deadline; ) await sleep(1);
      if (ended === undefined) throw new Error(`the mirror did not follow in ${PATIENCE_MS / 1000} s`);
      const reads = (await Promise.all(reading)).flat();
      const { rows } = await listener.query<{ count: number }>('SELECT count(*)::int FROM mirror.orphaned_event');
      return {
        milliseconds: ended - began,
        orphaned: rows[0]?.count ?? 0,
        reads: reads.length,
        slowestReadMs: Math.max(...reads),
      };
    });
  } finally {
    await chain.stop();
  }

  async function blockNumber(): Promise<bigint> {
    return BigInt(await chain.rpc.request<string>('eth_blockNumber'));
  }
}

/** The newest events, again and again. @returns milliseconds of each read */
async function readUntil(over: () => boolean, url: string): Promise<number[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  const times: number[] = [];
  try {
    while (!over() && times.length < 1_000_000) {
      const began = performance.now();
      await client.query(
        `SELECT sequence, type FROM mirror.emr_event WHERE network = 'bench' ORDER BY sequence DESC LIMIT 50`,
      );
      times.push(performance.now() - began);
      await sleep(1);
    }
    return times;
  } finally {
    await client.end();
  }
}
