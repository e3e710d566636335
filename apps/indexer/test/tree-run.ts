import { setTimeout as sleep } from 'node:timers/promises';
import { ZERO_HEAD } from '../../../libs/proof/src/head.js';
import type { Extension, Mirror, MirrorState, Replacement } from '../src/commit/mirror.js';
import { consume } from '../src/follow/consume.js';
import { Follower } from '../src/follow/follower.js';
import { verifyBlock } from '../src/verify/block.verifier.js';
import { type FoldedBlock, foldBlock, type LedgerState } from '../src/verify/ledger.fold.js';
import { genesisOf, type ModelBlock, ModelSource, pathTo, randomBlock } from './chain-model.js';
import { modelContract, Random } from './ledger-model.js';

export const DEPTH = 6;

export class Killed extends Error {}

/** A mirror whose process dies now and then: before a commit, or after it and before anybody hears of it. */
export function mortal(mirror: Mirror, random: Random, percent: number): Mirror {
  const dying = async (write: () => Promise<void>) => {
    if (random.chance(percent)) throw new Killed('before the commit');
    await write();
    if (random.chance(percent)) throw new Killed('after the commit');
  };
  return {
    load: () => mirror.load(),
    hashAt: (number) => mirror.hashAt(number),
    ledgerAt: (number) => mirror.ledgerAt(number),
    extend: (extension: Extension) => dying(() => mirror.extend(extension)),
    reorganise: (replacement: Replacement) => dying(() => mirror.reorganise(replacement)),
  };
}

export interface TreeRun {
  source: ModelSource;
  /** Canonical blocks in the end, genesis first. */
  canonical: ModelBlock[];
  reorganisations: number;
  deaths: number;
}

export function options() {
  return { contract: modelContract(), keepRaw: true, proveSenders: false };
}

export function makeSource(seed: number): ModelSource {
  const random = new Random(seed);
  return new ModelSource(genesisOf(modelContract(), random), new Random(seed + 1));
}

/** Grows a random tree of blocks behind a node while a follower, killed now and then, mirrors it; ends when the mirror has caught up. */
export async function runTree(seed: number, source: ModelSource, open: () => Promise<Mirror>): Promise<TreeRun> {
  const random = new Random(seed ^ 0x5eed);
  const stop = new AbortController();
  let state: MirrorState | undefined;
  let deaths = 0;
  let reorganisations = 0;
  const following = (async () => {
    while (!stop.signal.aborted) {
      const mirror = mortal(await open(), random, 4);
      state = await mirror.load();
      const follower = new Follower(
        source,
        (block) => verifyBlock(block, options()),
        (number) => mirror.hashAt(number),
        { finalityDepth: DEPTH, pollMs: 5 },
      );
      try {
        await consume(follower.follow(state, stop.signal), mirror, state, {
          onCommit: (committed) => {
            state = committed;
          },
          onReorganisation: () => {
            reorganisations++;
          },
          onFinal: () => undefined,
        });
      } catch (error) {
        if (!(error instanceof Killed)) throw error;
        deaths++;
      }
    }
  })();
  const failed = following.then(
    () => undefined,
    (error: unknown) => error,
  );
  await Promise.race([grow(source, random), failed]);
  const caughtUp = async () => {
    while (!state?.tip.hash.equals(source.tip.fetched.hash) && !stop.signal.aborted) await sleep(1);
  };
  const failure = await Promise.race([caughtUp(), failed]);
  stop.abort();
  await following;
  if (failure) throw failure;
  return { source, canonical: pathTo(source.tip), reorganisations, deaths };
}

/** Moves the head some times: onwards, or to a branch that forks off above what any follower may hold as final. */
async function grow(source: ModelSource, random: Random): Promise<void> {
  let highest = 0n;
  for (let move = 0; move < 16; move++) {
    const path = pathTo(source.tip);
    if (source.tip.fetched.header.number > highest) highest = source.tip.fetched.header.number;
    const lowest = Number(highest) - DEPTH + 1;
    let base = source.tip;
    const depth = random.int(DEPTH);
    if (random.chance(35) && path.length - 1 - depth >= Math.max(lowest, 0))
      base = path[path.length - 1 - depth] as ModelBlock;
    let next = base;
    for (let count = 1 + random.int(random.chance(10) ? 30 : 4); count > 0; count--) {
      next = randomBlock(next, random);
      // A node announces each block, or jumps when it imports several at once.
      if (next.parent === source.tip && random.chance(70)) source.setHead(next);
    }
    source.setHead(next);
    for (let turns = random.int(12); turns > 0; turns--) await new Promise((resolve) => setImmediate(resolve));
  }
  source.setHead(randomBlock(source.tip, random));
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
