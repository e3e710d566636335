import { describe, expect, it } from 'vitest';
import { Commits } from '../commit/commits.js';
import type { Mirror } from '../commit/mirror.js';
import type { VerifiedBlock } from '../verify/block.verifier.js';
import { consume } from './consume.js';
import type { Progress } from './progress.js';

const START = {
  tip: { number: 0n, hash: hashOf(0) },
  finalNumber: 0n,
  ledger: { sequence: 0n, head: Buffer.alloc(32) },
};

function hashOf(number: number): Buffer {
  return Buffer.alloc(32, number);
}

function page(number: number): Progress {
  const block = { number: BigInt(number), hash: hashOf(number), parentHash: hashOf(number - 1), transactions: [] };
  return { type: 'block', blocks: [block as unknown as VerifiedBlock], finalNumber: BigInt(number) };
}

/**
 * Consumes the steps and notes what happens in turn. Each commit takes until the next page is prepared or nothing else happens.
 * @param breaks what is to fail, as it would be noted
 */
async function consumed(steps: Progress[], breaks?: string) {
  const noted: string[] = [];
  const note = (what: string) => {
    noted.push(what);
    if (what === breaks) throw new Error(what);
  };
  const turn = () => new Promise((resolve) => setTimeout(resolve, 5));
  const mirror: Partial<Mirror> = {
    async prepare({ blocks }) {
      const number = blocks.at(-1)?.block.number;
      note(`prepare ${number}`);
      return async () => {
        await turn();
        note(`commit ${number}`);
      };
    },
  };
  async function* following() {
    yield* steps;
    noted.push('ended');
  }
  const outcome = consume(
    following(),
    mirror as Mirror,
    START,
    {
      onCommit: ({ tip }) => note(`committed ${tip.number}`),
      onReorganisation: () => undefined,
      onFinal: (number, blocks) => note(`final ${number} after ${blocks.at(-1)?.block.number}`),
      onLevel: async () => note('level'),
    },
    new Commits(),
  );
  const error = await outcome.then(
    () => undefined,
    (failure: Error) => failure.message,
  );
  return { noted, error };
}

describe('consuming what a chain does', () => {
  it('prepares one page, not more, while the one before it is committed', async () => {
    const final: Progress = { type: 'final', number: 1n };
    const { noted, error } = await consumed([page(1), final, page(2), page(3), { type: 'level' }]);
    expect(error).toBeUndefined();
    expect(noted).toEqual([
      ...['prepare 1', 'prepare 2', 'commit 1', 'committed 1', 'final 1 after 1'],
      ...['prepare 3', 'commit 2', 'committed 2', 'commit 3', 'committed 3', 'level', 'ended'],
    ]);
  });

  it('commits what comes before a page that does not fit', async () => {
    const { noted, error } = await consumed([page(1), page(2), page(3)], 'prepare 2');
    expect(error).toBe('prepare 2');
    expect(noted).toEqual(['prepare 1', 'prepare 2', 'commit 1', 'committed 1']);
  });

  it.each(['commit 1', 'committed 1', 'final 1 after 1'])('commits nothing behind a %s that fails', async (failing) => {
    const { noted, error } = await consumed([page(1), { type: 'final', number: 1n }, page(2), page(3)], failing);
    expect(error).toBe(failing);
    expect(noted).not.toContain('commit 2');
    expect(noted).not.toContain('prepare 3');
  });

  it('hears of a commit that failed before it waits for the next block', async () => {
    const { noted, error } = await consumed([page(1), { type: 'level' }, page(2)], 'commit 1');
    expect(error).toBe('commit 1');
    expect(noted).toEqual(['prepare 1', 'commit 1']);
  });

  it('has the last page committed when it ends', async () => {
    const { noted } = await consumed([page(1)]);
    expect(noted).toEqual(['prepare 1', 'ended', 'commit 1', 'committed 1']);
  });
});
