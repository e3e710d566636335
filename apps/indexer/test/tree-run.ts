import { setTimeout as sleep } from 'node:timers/promises';
import { RpcError } from '../../../libs/chain-client/src/rpc/rpc.error.js';
import { ZERO_HEAD } from '../../../libs/proof/src/head.js';
import { Commits } from '../src/commit/commits.js';
import type { Extension, Mirror, MirrorState, Replacement } from '../src/commit/mirror.js';
import { consume, type ProgressHandlers } from '../src/follow/consume.js';
import { Follower } from '../src/follow/follower.js';
import { WithheldError } from '../src/follow/progress.js';
import { verifyBlock } from '../src/verify/block.verifier.js';
import { type FoldedBlock, foldBlock, type LedgerState } from '../src/verify/ledger.fold.js';
import { genesisOf, type ModelBlock, ModelSource, pathTo } from './chain-model.js';
import { modelContract, Random } from './ledger-model.js';
import { type Growth, grow, shapeOf, type TreeShape } from './tree-growth.js';

export class Killed extends Error {}

/** A mirror whose process dies now and then: before a commit, or after it and before anybody hears of it. */
export function mortal(mirror: Mirror, random: Random, percent: number): Mirror {
  const dying = async (write: () => Promise<void>) => {
    // A commit takes its time: the next page may be on its way before it is done.
    if (random.chance(50)) await sleep(0);
    if (random.chance(percent)) throw new Killed('before the commit');
    await write();
    if (random.chance(percent)) throw new Killed('after the commit');
  };
  return {
    load: () => mirror.load(),
    hashAt: (number) => mirror.hashAt(number),
    ledgerAt: (number) => mirror.ledgerAt(number),
    prepare: async (extension: Extension) => {
      const write = await mirror.prepare(extension);
      return () => dying(write);
    },
    reorganise: (replacement: Replacement) => dying(() => mirror.reorganise(replacement)),
  };
}

export interface TreeRun extends Growth {
  /** Canonical blocks in the end, genesis first. */
  canonical: ModelBlock[];
  reorganisations: number;
  deaths: number;
  restarts: number;
  /** Every event that was ever committed, by block hash and log index. */
  committed: Set<string>;
}

export function options() {
  return { contract: modelContract(), keepRaw: true, proveSenders: false };
}

export interface SeededTree {
  seed: number;
  source: ModelSource;
  shape: TreeShape;
  random: Random;
}

export function seededTree(seed: number): SeededTree {
  const random = new Random(seed);
  const source = new ModelSource(genesisOf(modelContract(), random), new Random(seed + 1));
  const growth = new Random(seed ^ 0x5eed);
  return { seed, source, shape: shapeOf(growth), random: growth };
}

/**
 * Grows a random tree of blocks behind a node while a follower mirrors it, which dies and is restarted; ends when the mirror has caught up.
 * @param open the mirror as the next life of the follower finds it; throws Killed where that life ends before it began
 */
export async function runTree({ source, shape, random }: SeededTree, open: () => Promise<Mirror>): Promise<TreeRun> {
  const stop = new AbortController();
  let life = new AbortController();
  let state: MirrorState | undefined;
  const count = { deaths: 0, restarts: 0, reorganisations: 0 };
  const committed = new Set<string>();
  const following = (async () => {
    while (!stop.signal.aborted) {
      life = new AbortController();
      try {
        const mirror = await open();
        state = await mirror.load();
        const commits = new Commits();
        const follower = new Follower(
          source,
          (block) => verifyBlock(block, options()),
          (number) => commits.afterwards(() => mirror.hashAt(number)),
          { finalityDepth: shape.finalityDepth, pollMs: 5 },
        );
        const signal = AbortSignal.any([stop.signal, life.signal]);
        const handlers: ProgressHandlers = {
          onCommit: (now, blocks) => {
            state = now;
            for (const event of eventKeys(blocks)) committed.add(event);
          },
          onReorganisation: () => {
            count.reorganisations++;
          },
          onFinal: () => undefined,
        };
        await consume(follower.follow(state, signal), mirror, state, handlers, commits);
        if (!stop.signal.aborted) count.restarts++;
      } catch (error) {
        if (error instanceof Killed) count.deaths++;
        else if (!(error instanceof RpcError || error instanceof WithheldError)) throw error;
        else await new Promise((resolve) => setImmediate(resolve));
      }
    }
  })();
  const failed = following.then(
    () => undefined,
    (error: unknown) => error,
  );
  const growing = grow(source, random, shape, () => life.abort());
  await Promise.race([growing, failed]);
  const caughtUp = async () => {
    const growth = await growing;
    while (!state?.tip.hash.equals(source.tip.fetched.hash) && !stop.signal.aborted) await sleep(1);
    return growth;
  };
  const ended = await Promise.race([caughtUp(), failed.then((error) => Promise.reject(error))]).finally(() => {
    source.failing = false;
    stop.abort();
  });
  await following;
  return { canonical: pathTo(source.tip), committed, ...count, ...ended };
}

/** One name an event: where it stands. */
export function eventKeys(blocks: readonly FoldedBlock[]): string[] {
  return blocks.flatMap(({ events }) =>
    events.map(({ block, logIndex, event }) => `${block.hash.toString('hex')} ${logIndex} ${event.sequence}`),
  );
}

/** What the canonical chain holds, folded plainly from genesis. */
export function plainFold(canonical: readonly ModelBlock[]): FoldedBlock[] {
  let state: LedgerState = { sequence: 0n, head: ZERO_HEAD };
  return canonical.map(({ fetched }) => {
    const folded = foldBlock(state, verifyBlock(fetched, options()));
    state = folded.state;
    return folded;
  });
}
