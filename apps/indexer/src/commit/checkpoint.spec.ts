import { describe, expect, it } from 'vitest';
import type { FoldedBlock } from '../verify/ledger.fold.js';
import { checkpointAt } from './checkpoint.js';

const page = [5, 6, 7].map((number) => ({
  block: { number: BigInt(number), hash: Buffer.of(number), header: Buffer.of(number, number) },
  state: { sequence: BigInt(number * 100), head: Buffer.of(number, 1) },
})) as unknown as FoldedBlock[];

describe('a checkpoint at a block of the page that was committed', () => {
  it('is where the ledger stood after that block', () => {
    expect(checkpointAt(6n, page)).toEqual({
      ...{ number: 6n, hash: Buffer.of(6), header: Buffer.of(6, 6) },
      ...{ sequence: 600n, head: Buffer.of(6, 1) },
    });
  });

  it.each([4n, 8n, 0n])('is read elsewhere for block %d, which is not on the page', (number) => {
    expect(checkpointAt(number, page)).toBeUndefined();
  });

  it('is read elsewhere while nothing was committed', () => {
    expect(checkpointAt(0n, [])).toBeUndefined();
  });
});
