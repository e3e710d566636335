import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { LiarBench, rawOf, storedOf, telling } from '../../../test/indexer/liar-bench.js';
import { chainEvents, type EventLine, mirroredEvents } from './chain-oracle.js';
import { type Lie, lies, type Told } from './lies.js';
import type { Tell } from './lying-node.js';
import { WatchedRunner } from './watched-runner.js';

let bench: LiarBench;
beforeAll(async () => {
  bench = await LiarBench.start();
});
afterAll(() => bench?.stop());

const named = lies.map((lie) => [lie.name, lie] as const);

/** Bytes say neither hashes nor senders: these lies can't be told in them. */
const unsaid = [
  "alters the header's hash",
  "alters a transaction's hash",
  "alters a transaction's from",
  'gives a transaction to itself another sender',
  "alters a receipt's transactionHash",
];
const namedInBytes = named.filter(([name]) => !unsaid.includes(name));
/** The database leaves these out as well. */
const unstored = ["alters a receipt's type", "alters a receipt's logsBloom"];
const namedInDatabase = namedInBytes.filter(([name]) => !unstored.includes(name));

describe('a node that lies of a block', () => {
  it('is asked for blocks of which every lie can be told', async () => {
    const { block, receipts } = await bench.truthOf(bench.middle);
    expect(receipts.map(({ logs }) => logs.length)).toEqual([4, 3, 0]);
    for (const lie of lies) {
      const told = structuredClone({ block, receipts });
      lie.apply(told, structuredClone(await bench.truthOf(bench.middle - 1n)));
      expect(told, lie.name).not.toEqual({ block, receipts });
    }
  });

  describe('in history', () => {
    let truth: EventLine[];
    let before: EventLine[];
    let tell: (lie: Lie) => Tell;

    beforeAll(async () => {
      truth = await chainEvents(bench.load, bench.chain.contract);
      const blocks = await Promise.all(
        Array.from({ length: Number(bench.middle) }, (_, number) => bench.truthOf(BigInt(number))),
      );
      const hashes = new Set(blocks.map(({ block }) => block.hash));
      before = truth.filter(({ block }) => hashes.has(block));
      const told = [blocks.at(-1) as Told, await bench.truthOf(bench.middle)];
      tell = (lie) => telling(lie, told);
    });

    async function expectCaughtInHistory(name: string, lie: Lie): Promise<void> {
      bench.node.tell = tell(lie);
      await bench.following(name, async (runner) => {
        await runner.until(({ phase }) => phase === 'stopped');
        await bench.expectCaught(runner, name, bench.middle);
        expect(await mirroredEvents(bench.sql, name)).toEqual(before);
        bench.node.tell = undefined;
        await bench.expectTruth(runner, name);
        expect(await mirroredEvents(bench.sql, name)).toEqual(truth);
      });
    }

    it.each(named)('%s', expectCaughtInHistory);

    describe('told in raw bytes', () => {
      beforeAll(() => {
        bench.node.raw = true;
      });
      afterAll(() => {
        bench.node.raw = false;
      });

      it.each(namedInBytes)('%s', async (name, lie) => {
        const copy = structuredClone(await bench.truthOf(bench.middle));
        lie.apply(copy, structuredClone(await bench.truthOf(bench.middle - 1n)));
        expect(rawOf(copy)).not.toEqual(rawOf(await bench.truthOf(bench.middle)));
        await expectCaughtInHistory(`raw: ${name}`, lie);
      });
    });

    describe("told out of the node's database", () => {
      beforeAll(() => {
        bench.node.raw = true;
        bench.node.database = true;
      });
      afterAll(() => {
        bench.node.raw = false;
        bench.node.database = false;
      });

      it.each(namedInDatabase)('%s', async (name, lie) => {
        const copy = structuredClone(await bench.truthOf(bench.middle));
        lie.apply(copy, structuredClone(await bench.truthOf(bench.middle - 1n)));
        expect(storedOf(copy)).not.toEqual(storedOf(await bench.truthOf(bench.middle)));
        await expectCaughtInHistory(`stored: ${name}`, lie);
      });
    });
  });

  describe('at the head', () => {
    const name = 'head';
    let runner: WatchedRunner;

    beforeAll(() => {
      runner = new WatchedRunner(bench.networkNamed(name), bench.dataSource);
    });
    afterAll(async () => {
      await runner?.stop();
    });

    it.each(named)('%s', async (_name, lie) => {
      await bench.expectTruth(runner, name);
      runner.lines.length = 0;
      const parent = await bench.truthOf(await bench.headNumber());
      await bench.node.holding(async () => {
        bench.node.tell = telling(lie, [parent, await bench.truthOf(await bench.mine())]);
      });
      try {
        await runner.until(({ phase }) => phase === 'stopped');
        await bench.expectCaught(runner, name, BigInt(parent.block.number) + 1n);
      } finally {
        bench.node.tell = undefined;
      }
      await bench.expectTruth(runner, name);
    });

    it('is believed again after every lie, and the mirror holds what the chain holds', async () => {
      expect(await mirroredEvents(bench.sql, name)).toEqual(await chainEvents(bench.load, bench.chain.contract));
      const { rows } = await bench.sql.query(
        `SELECT count(*)::int AS caught, count(DISTINCT block_number)::int AS blocks, count(resolved_at)::int AS resolved
         FROM mirror.incident WHERE network = $1`,
        [name],
      );
      expect(rows).toEqual([{ caught: lies.length, blocks: lies.length, resolved: lies.length }]);
    });
  });
});
