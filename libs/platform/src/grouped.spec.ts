import { describe, expect, it } from 'vitest';
import { Grouped } from './grouped.js';

function recorded() {
  const groups: number[][] = [];
  const gates: Array<() => void> = [];
  const grouped = new Grouped<number, number>(
    async (items) => {
      groups.push(items);
      await new Promise<void>((open) => gates.push(open));
      return items.map((item) => item * 10);
    },
    { inFlight: 2, most: 3 },
  );
  return { groups, gates, grouped };
}

describe('grouped calls', () => {
  it('leave at once alone, together while others are under way, and never more than the limit', async () => {
    const { groups, gates, grouped } = recorded();
    const answers = Promise.all([1, 2, 3, 4, 5, 6].map((item) => grouped.add(item)));
    expect(groups).toEqual([[1], [2]]);
    for (let opened = 0; opened < 4; opened++) {
      gates[opened]?.();
      await new Promise((done) => setImmediate(done));
    }
    expect(groups).toEqual([[1], [2], [3, 4, 5], [6]]);
    expect(await answers).toEqual([10, 20, 30, 40, 50, 60]);
  });

  it('fail together, and go on with the next group', async () => {
    let tries = 0;
    const grouped = new Grouped<number, number>(async (items) => {
      tries += 1;
      if (tries === 1) throw new Error('lost');
      return items;
    });
    await expect(grouped.add(1)).rejects.toThrow('lost');
    await expect(grouped.add(2)).resolves.toBe(2);
  });

  it('fail when answers are missing rather than mix them up', async () => {
    await expect(new Grouped<number, number>(async () => []).add(1)).rejects.toThrow('0 answers to 1 items');
  });
});
