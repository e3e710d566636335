import type { Mirror, MirrorState } from '../commit/mirror.js';
import type { VerifiedBlock } from '../verify/block.verifier.js';
import { type FoldedBlock, foldBlock, type LedgerState } from '../verify/ledger.fold.js';
import type { Progress } from './progress.js';

export interface ProgressHandlers {
  onCommit(state: MirrorState, blocks: readonly FoldedBlock[], seconds: number): Promise<void> | void;
  onReorganisation(depth: bigint): void;
  onFinal(number: bigint): Promise<void> | void;
}

/** Carries out what the follower tells, one commit for each step. @throws MismatchError, or what the database throws */
export async function consume(
  progress: AsyncIterable<Progress>,
  mirror: Mirror,
  start: MirrorState,
  handlers: ProgressHandlers,
): Promise<void> {
  let state = start;
  const commit = async (blocks: readonly FoldedBlock[], finalNumber: bigint, write: () => Promise<void>) => {
    const began = performance.now();
    await write();
    const last = blocks.at(-1) as FoldedBlock;
    state = { tip: { number: last.block.number, hash: last.block.hash }, finalNumber, ledger: last.state };
    await handlers.onCommit(state, blocks, (performance.now() - began) / 1000);
  };
  for await (const step of progress) {
    switch (step.type) {
      case 'block': {
        const { finalNumber } = step;
        const blocks = foldAll(state.ledger, step.blocks);
        await commit(blocks, finalNumber, () => mirror.extend({ blocks, finalNumber }));
        break;
      }
      case 'reorganisation': {
        const { ancestor, finalNumber } = step;
        const depth = state.tip.number - ancestor.number;
        const blocks = foldAll(await mirror.ledgerAt(ancestor.number), step.blocks);
        await commit(blocks, finalNumber, () => mirror.reorganise({ ancestor, blocks, finalNumber }));
        handlers.onReorganisation(depth);
        break;
      }
      case 'final':
        await handlers.onFinal(step.number);
        break;
      default:
        step satisfies never;
    }
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
