import { describe, expect, it } from 'vitest';
import type { VerifiedBlock } from '../verify/block.verifier.js';
import type { ChainSource, FetchedBlock } from './chain-source.js';
import { Prefetch } from './prefetch.js';

const TIP = { number: 0n, hash: Buffer.alloc(32) };
const HEAD = { number: 2_000n, hash: Buffer.alloc(32, 1) };

/** Takes pages to the head from a chain whose block `n` has `logsOf(n)` logs; notes how much was ordered, and how many ranges beyond the one that is waited for. */
async function follow(logsOf: (number: bigint) => number) {
  const ordered: number[] = [];
  let underWay = 0;
  let ahead = 0;
  const source = {
    blocksByNumber: async (from: bigint, to: bigint) => {
      const length = Number(to - from) + 1;
      ordered.push(length);
      underWay++;
      ahead = Math.max(ahead, underWay - 1);
      await new Promise((resolve) => setImmediate(resolve));
      underWay--;
      return Array.from({ length }, (_, index) => ({ number: from + BigInt(index) }));
    },
  } as unknown as ChainSource;
  const verify = (block: FetchedBlock) => {
    const { number } = block as unknown as { number: bigint };
    return { number, transactions: [{ logCount: logsOf(number) }] } as unknown as VerifiedBlock;
  };
  const prefetch = new Prefetch(source, verify, TIP);
  const taken: bigint[] = [];
  prefetch.plan(HEAD);
  while (!prefetch.empty) taken.push(...(await prefetch.take()).map(({ number }) => number));
  expect(taken).toEqual(Array.from({ length: Number(HEAD.number) }, (_, index) => BigInt(index + 1)));
  return { ordered, ahead };
}

describe('what is fetched ahead', () => {
  it('begins with one block, as nobody knows how full the next are', async () => {
    const { ordered } = await follow(() => 0);
    expect(ordered[0]).toBe(1);
    expect(ordered[1]).toBe(1);
  });

  it('grows where blocks are empty, to 64 a range and four ranges ahead', async () => {
    const { ordered, ahead } = await follow(() => 0);
    expect(Math.max(...ordered)).toBe(64);
    expect(ahead).toBe(4);
  });

  it('is one block a range and two ranges ahead where each block fills a page', async () => {
    const { ordered, ahead } = await follow(() => 1_000);
    expect(new Set(ordered)).toEqual(new Set([1]));
    expect(ahead).toBe(2);
  });

  it('is about half a page a range where blocks have ten logs', async () => {
    const { ordered, ahead } = await follow(() => 10);
    expect(Math.max(...ordered)).toBe(50);
    expect(ahead).toBe(4);
  });

  it('shrinks again once empty blocks are over', async () => {
    const { ordered } = await follow((number) => (number > 1_000n ? 1_000 : 0));
    expect(Math.max(...ordered)).toBe(64);
    expect(ordered.slice(-100)).toEqual(Array.from({ length: 100 }, () => 1));
  });
});
