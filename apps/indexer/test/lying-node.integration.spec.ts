import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { LiarBench, rawOf, storedOf, telling, tellingInDatabase } from '../../../test/indexer/liar-bench.js';
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
/** Such a header isn't filed under the hash that the block before it has: the range is asked for otherwise, and there is nothing to catch. */
const unlinked = "alters the header's parentHash";
const namedInDatabase = namedInBytes.filter(([name]) => !unstored.includes(name) && name !== unlinked);

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

    async function expectCaughtInHistory(name: string, told: Tell): Promise<void> {
      bench.node.tell = told;
      await bench.following(name, async (runner) => {
        await runner.until(({ phase }) => phase === 'stopped');
        await bench.expectCaught(runner, name, bench.middle);
        expect(await mirroredEvents(bench.sql, name)).toEqual(before);
        bench.node.tell = undefined;
        await bench.expectTruth(runner, name);
        expect(await mirroredEvents(bench.sql, name)).toEqual(truth);
      });
    }

    /** What is wrong is found and asked for again in another way: nobody needs to be told. */
    async function expectPassedOver(name: string, told: Tell): Promise<void> {
      bench.node.tell = told;
      await bench.following(name, async (runner) => {
        await bench.expectTruth(runner, name);
        expect(await mirroredEvents(bench.sql, name)).toEqual(truth);
        expect(runner.state.mismatches).toBe(0);
      });
    }

    it.each(named)('%s', (name, lie) => expectCaughtInHistory(name, tell(lie)));

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
        await expectCaughtInHistory(`raw: ${name}`, tell(lie));
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

      async function tellStored(lie: Lie): Promise<Tell> {
        const [before, truth] = await Promise.all([bench.truthOf(bench.middle - 1n), bench.truthOf(bench.middle)]);
        const copy = structuredClone(truth);
        lie.apply(copy, structuredClone(before));
        expect(storedOf(copy)).not.toEqual(storedOf(truth));
        return tellingInDatabase(lie, [before, truth]);
      }

      it.each(namedInDatabase)('%s', async (name, lie) => {
        await expectCaughtInHistory(`stored: ${name}`, await tellStored(lie));
      });

      it(unlinked, async () => {
        const [, lie] = named.find(([name]) => name === unlinked)!;
        await expectPassedOver('stored: unlinked', await tellStored(lie));
      });

      it.each<[string, (key: string, hash: string) => string | undefined]>([
        ['files another block there', (key) => (key.endsWith('6e') ? `0x${'5e'.repeat(32)}` : undefined)],
        ['has no body', (key, hash) => (key.startsWith('62') && key.endsWith(hash) ? '0x' : undefined)],
        [
          'gives a header that is none',
          (key, hash) => (key.startsWith('68') && key.endsWith(hash) ? '0xc0' : undefined),
        ],
        ['gives text for receipts', (key, hash) => (key.startsWith('72') && key.endsWith(hash) ? 'gone' : undefined)],
      ])('%s', async (name, tellOf) => {
        const { block } = await bench.truthOf(bench.middle);
        const place = BigInt(block.number).toString(16).padStart(16, '0');
        let lied = 0;
        await expectPassedOver(`stored: ${name}`, ({ method, params }, answer) => {
          const key = String(params[0]).slice(2);
          const told = method === 'debug_dbGet' && key.includes(place) ? tellOf(key, block.hash.slice(2)) : undefined;
          if (told !== undefined) lied++;
          return told ?? answer;
        });
        expect(lied).toBeGreaterThan(0);
      });

      it('gives receipts whose logs are none', async () => {
        const { block } = await bench.truthOf(bench.middle);
        const key = `72${BigInt(block.number).toString(16).padStart(16, '0')}${block.hash.slice(2)}`;
        // Three of [status, gas, logs], the logs a byte string.
        const told = `0xcc${'c3018080'.repeat(3)}`;
        await expectCaughtInHistory('stored: no logs', ({ method, params }, answer) =>
          method === 'debug_dbGet' && params[0] === `0x${key}` ? told : answer,
        );
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
