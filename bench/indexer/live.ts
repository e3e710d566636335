import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { freshChain, prepareRecords } from './chain.js';
import { committedNumber } from './database.js';
import { type Given, withFollower } from './follower.js';

/** Ten acts, hence ten events, in the one transaction of a block: as the gateway packs what arrives together. */
const ACTS = 10;
const WARM_UP = 100;
const BLOCKS = 500;
const PAUSE_MS = 15;
const RECORDS = 100;

/**
 * One block after the other, each with ten events. A commit's time is from the node's announcement of the block, on a subscription of
 * the bench's own, to the mirror's notification that it is committed: fetching, verification and all.
 * @returns milliseconds, one for each block
 */
export async function liveCommits({ postgres, dir, logger, signal }: Given): Promise<number[]> {
  const chain = await freshChain({ dir: join(dir, 'live-chain'), logger });
  try {
    const acts = await prepareRecords(chain, RECORDS);
    return await withFollower({ postgres, dir, signal, chain, finalityDepth: 1 }, async ({ listener }) => {
      const committed = new Map<bigint, number>();
      listener.on('notification', ({ payload }) => committed.set(committedNumber(payload), performance.now()));
      const announced = new Map<bigint, number>();
      await chain.rpc.subscribe('newHeads', ({ number }) => announced.set(BigInt(number), performance.now()));
      for (let block = -WARM_UP; block < BLOCKS; block++) {
        if (block === 0) announced.clear();
        await chain.rpc.request('eth_sendRawTransaction', [acts.query(ACTS)]);
        await sleep(PAUSE_MS);
      }
      const last = BigInt(await chain.rpc.request<string>('eth_blockNumber'));
      for (const deadline = Date.now() + 10_000; !committed.has(last) && Date.now() < deadline; ) await sleep(5);
      // A block that shares another one's commit has no notification of its own; it was there when that one was.
      return [...announced].map(([number, at]) => (firstAtOrAfter(committed, number) ?? Number.NaN) - at);
    });
  } finally {
    await chain.stop();
  }
}

function firstAtOrAfter(committed: ReadonlyMap<bigint, number>, number: bigint): number | undefined {
  for (const [through, at] of committed) if (through >= number) return at;
  return undefined;
}
