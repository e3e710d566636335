import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { genesisOf, type ModelBlock, ModelSource, pathTo, randomBlock } from '../../test/chain-model.js';
import { modelContract, Random } from '../../test/ledger-model.js';
import { MemoryMirror } from '../../test/memory-mirror.js';
import { options, plainFold, runTree, seededTree } from '../../test/tree-run.js';
import { contentOf, judge } from '../../test/tree-verdict.js';
import { growTrees } from '../../test/trees.js';
import { Commits } from '../commit/commits.js';
import { verifyBlock } from '../verify/block.verifier.js';
import type { FoldedBlock } from '../verify/ledger.fold.js';
import { MismatchError } from '../verify/mismatch.error.js';
import type { ChainSource, FetchedBlock } from './chain-source.js';
import { consume, type ProgressHandlers } from './consume.js';
import { Follower } from './follower.js';
import { BeyondFinalityError } from './progress.js';

const TREES = 200;
const DEPTH = 6;

describe('following a tree of blocks', () => {
  it(`mirrors exactly the canonical chain, over ${TREES} random trees, lost announcements, restarts and kills`, async () => {
    const report = await growTrees(TREES, 1_000);
    expect(report.failed).toEqual([]);
    expect(report).toMatchObject({ trees: TREES, missing: 0, double: 0, stale: 0, lost: 0, rows: 0 });
    // The trees are worth their time only if they fork as deep as may be, and the follower dies.
    expect(report.deepest).toBeGreaterThan(60);
    expect(report.reorganisations).toBeGreaterThan(3 * TREES);
    expect(report.deaths).toBeGreaterThan(TREES / 2);
    expect(report.restarts).toBeGreaterThan(TREES / 2);
  }, 300_000);

  it('is judged by whoever sees an event too few, too many or of another branch', async () => {
    const tree = seededTree(5);
    const mirror = new MemoryMirror(plainFold([tree.source.genesis])[0] as FoldedBlock);
    const run = await runTree(tree, async () => mirror);
    const content = contentOf(mirror);
    const right = { missing: 0, double: 0, stale: 0, lost: 0, rows: 0 };
    expect(await judge(run, content)).toEqual(right);
    const [first, ...rest] = content.events as [string, ...string[]];
    expect(await judge(run, { ...content, events: rest })).toMatchObject({ missing: 1, lost: 1 });
    expect(await judge(run, { ...content, events: [first, ...content.events] })).toMatchObject({ double: 1 });
    expect(await judge(run, { ...content, events: ['other', ...content.events] })).toMatchObject({ stale: 1 });
    expect(await judge(run, { ...content, rows: content.rows.slice(1) })).toMatchObject({ rows: 1 });
    expect(await judge(run, { ...content, tip: Buffer.alloc(32) })).toMatchObject({ missing: 1 });
  });
});

describe('following', () => {
  it('reports a history that is replaced beyond finality, and takes nothing back', async () => {
    const { random, source, mirror, path } = await mirrored(20);
    let other = path[20 - DEPTH] as ModelBlock;
    for (let count = 0; count < 30; count++) other = randomBlock(other, random);
    source.setHead(other);
    await expect(followUntil(source, mirror, () => false)).rejects.toThrow(BeyondFinalityError);
    expect(names(mirror.blocks)).toEqual(names(plainFold(path)));
  });

  it('takes back what is not final yet', async () => {
    const { random, source, mirror, path } = await mirrored(20);
    let other = path[20 - DEPTH + 1] as ModelBlock;
    for (let count = 0; count < 3; count++) other = randomBlock(other, random);
    source.setHead(other);
    await followUntil(source, mirror, () => mirror.blocks.at(-1)?.block.hash.equals(other.fetched.hash) ?? false);
    expect(names(mirror.blocks)).toEqual(names(plainFold(pathTo(other))));
  });

  it('waits for a node that fell behind on the same chain', async () => {
    const { random, source, mirror, path } = await mirrored(20);
    source.setHead(path[4] as ModelBlock);
    const next = randomBlock(path[20] as ModelBlock, random);
    const caughtUp = followUntil(source, mirror, () => mirror.blocks.length === 22);
    await sleep(30);
    expect(mirror.blocks).toHaveLength(21);
    source.setHead(next);
    await caughtUp;
  });

  it.each(['drops', 'alters'] as const)(
    'stops at the block of which the node %s a log, and keeps what was before',
    async (how) => {
      const { random, source, mirror, path } = await mirrored(6);
      let next = path[6] as ModelBlock;
      let lied: ModelBlock | undefined;
      for (let count = 0; count < 12; count++) {
        next = randomBlock(next, random);
        if (count > 3 && next.fetched.receipts.some(({ logs }) => logs.length > 1)) lied ??= next;
      }
      source.lie = (block) => (block.hash.equals((lied as ModelBlock).fetched.hash) ? withoutTruth(block, how) : block);
      source.setHead(next);
      const failure = await followUntil(source, mirror, () => false).catch((error: unknown) => error);
      expect(failure).toBeInstanceOf(MismatchError);
      expect((failure as MismatchError).blockNumber).toBe(lied?.fetched.header.number);
      expect(mirror.blocks.length).toBeLessThanOrEqual(Number(lied?.fetched.header.number));
    },
  );
});

/** A mirror that has followed `length` blocks on genesis. */
async function mirrored(length: number) {
  const random = new Random(11);
  const source = new ModelSource(genesisOf(modelContract(), random), new Random(12));
  let tip = source.genesis;
  for (let count = 0; count < length; count++) tip = randomBlock(tip, random);
  source.setHead(tip);
  const mirror = new MemoryMirror(plainFold([source.genesis])[0] as FoldedBlock);
  await followUntil(source, mirror, () => mirror.blocks.length === length + 1);
  return { random, source, mirror, path: pathTo(tip) };
}

async function followUntil(source: ChainSource, mirror: MemoryMirror, reached: () => boolean): Promise<void> {
  const stop = new AbortController();
  const state = await mirror.load();
  const commits = new Commits();
  const follower = new Follower(
    source,
    (block) => verifyBlock(block, options()),
    (number) => commits.afterwards(() => mirror.hashAt(number)),
    { finalityDepth: DEPTH, pollMs: 2 },
  );
  const handlers: ProgressHandlers = {
    onCommit: () => (reached() ? stop.abort() : undefined),
    onReorganisation: () => undefined,
    onFinal: () => undefined,
  };
  await consume(follower.follow(state, stop.signal), mirror, state, handlers, commits);
}

function withoutTruth(block: FetchedBlock, how: 'drops' | 'alters'): FetchedBlock {
  const at = block.receipts.findIndex(({ logs }) => logs.length > 1);
  const receipts = [...block.receipts];
  const receipt = receipts[at] as (typeof receipts)[number];
  const logs = receipt.logs.slice(how === 'drops' ? 1 : 0);
  if (how === 'alters') logs[0] = { ...(logs[0] as (typeof logs)[number]), data: Buffer.alloc(64) };
  receipts[at] = { ...receipt, logs };
  return { ...block, receipts };
}

function names(blocks: readonly FoldedBlock[]): string[] {
  return blocks.map(({ block }) => block.hash.toString('hex'));
}
