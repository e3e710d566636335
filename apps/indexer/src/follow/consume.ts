import type { Commits } from '../commit/commits.js';
import type { Mirror, MirrorState } from '../commit/mirror.js';
import type { VerifiedBlock } from '../verify/block.verifier.js';
import { type FoldedBlock, foldBlock, type LedgerState } from '../verify/ledger.fold.js';
import type { Progress } from './progress.js';

export interface ProgressHandlers {
  onCommit(state: MirrorState, blocks: readonly FoldedBlock[], seconds: number): Promise<void> | void;
  onReorganisation(depth: bigint): void;
  /** @param page the blocks of the last commit, which need not hold the final one */
  onFinal(number: bigint, page: readonly FoldedBlock[]): Promise<void> | void;
  onLevel?(): Promise<void>;
}

/**
 * Carries out what the follower tells, one commit for each step. While a page is being committed the next is folded and prepared, as the
 * database and this process would wait for each other else: whoever reads the mirror meanwhile does so through `commits.afterwards`.
 * @throws MismatchError, or what the database throws; everything before that is committed then
 */
export async function consume(
  progress: AsyncIterable<Progress>,
  mirror: Mirror,
  start: MirrorState,
  handlers: ProgressHandlers,
  commits: Commits,
): Promise<void> {
  let state = start;
  let page: readonly FoldedBlock[] = [];
  const begin = (blocks: readonly FoldedBlock[], finalNumber: bigint, write: () => Promise<void>) => {
    const { block, state: ledger } = blocks.at(-1) as FoldedBlock;
    const after = { tip: { number: block.number, hash: block.hash }, finalNumber, ledger };
    state = after;
    page = blocks;
    commits.begin(async () => {
      const began = performance.now();
      await write();
      await handlers.onCommit(after, blocks, (performance.now() - began) / 1000);
    });
  };
  try {
    for await (const step of progress) {
      switch (step.type) {
        case 'block': {
          const { finalNumber } = step;
          const blocks = foldAll(state.ledger, step.blocks);
          const write = await mirror.prepare({ blocks, finalNumber });
          // One page ahead, not more: what is prepared is in memory.
          await commits.done();
          begin(blocks, finalNumber, write);
          break;
        }
        case 'reorganisation': {
          await commits.done();
          const { ancestor, finalNumber } = step;
          const depth = state.tip.number - ancestor.number;
          const blocks = foldAll(await mirror.ledgerAt(ancestor.number), step.blocks);
          begin(blocks, finalNumber, () => mirror.reorganise({ ancestor, blocks, finalNumber }));
          await commits.done();
          handlers.onReorganisation(depth);
          break;
        }
        case 'final': {
          const blocks = page;
          page = []; // not kept beyond its commit
          commits.begin(async () => handlers.onFinal(step.number, blocks));
          break;
        }
        case 'level':
          await commits.afterwards(async () => handlers.onLevel?.());
          break;
        default:
          step satisfies never;
      }
    }
  } finally {
    await commits.done();
  }
}

function foldAll(before: LedgerState, blocks: readonly VerifiedBlock[]): FoldedBlock[] {
  let state = before;
  return blocks.map((block) => {
    const folded = foldBlock(state, block);
    state = folded.state;
    return folded;
  });
}
