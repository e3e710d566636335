import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { LiarBench, telling } from '../../../test/indexer/liar-bench.js';
import type { RpcBlock } from '../src/follow/rpc-block.js';
import { mirroredEvents } from './chain-oracle.js';
import { type Lie, lies, type Told } from './lies.js';
import type { Tell } from './lying-node.js';

let bench: LiarBench;
beforeAll(async () => {
  bench = await LiarBench.start();
});
afterAll(() => bench?.stop());

describe('a node that lies of its chain', () => {
  const quantity = (number: bigint) => `0x${number.toString(16)}`;
  const isBlock = ({ method }: { method: string }) => method.startsWith('eth_getBlockBy');

  async function stored(name: string): Promise<{ tip: bigint; orphans: number }> {
    const { rows } = await bench.sql.query<{ tip: string; orphans: number }>(
      `SELECT number AS tip, (SELECT count(*)::int FROM mirror.orphaned_event o WHERE o.network = c.network) AS orphans
       FROM mirror.cursor c WHERE network = $1`,
      [name],
    );
    return { tip: BigInt(rows[0]?.tip ?? -1), orphans: rows[0]?.orphans ?? -1 };
  }

  it.each<[string, (number: bigint, hash: string) => Tell]>([
    [
      'the receipts',
      (_, hash) =>
        ({ method, params }, answer) =>
          method === 'eth_getBlockReceipts' && params[0] === hash ? null : answer,
    ],
    [
      'the transactions and receipts',
      (_, hash) => (call, answer) =>
        isBlock(call) && call.params[1] && (answer as RpcBlock | null)?.hash === hash ? null : answer,
    ],
  ])('is told on when it withholds %s of a block', async (what, withhold) => {
    const name = `withholds ${what}`;
    await bench.following(name, async (runner) => {
      await bench.expectTruth(runner, name);
      let number = 0n;
      await bench.node.holding(async () => {
        number = await bench.mine();
        bench.node.tell = withhold(number, (await bench.truthOf(number)).block.hash);
      });
      await runner.until(({ lastError }) => lastError?.includes(`does not serve block ${number}`) ?? false);
      expect(await stored(name)).toEqual({ tip: number - 1n, orphans: 0 });
      bench.node.tell = undefined;
      await bench.expectTruth(runner, name);
    });
  });

  it('is told on when its head is beyond what it has, and everything it has is mirrored', async () => {
    await bench.following('beyond', async (runner) => {
      const far = (block: unknown) => ({
        ...(block as RpcBlock),
        number: quantity(10n ** 9n),
        hash: `0x${'77'.repeat(32)}`,
      });
      bench.node.tell = (call, answer) =>
        call.params[0] === 'latest' || call.method === 'eth_subscription' ? far(answer) : answer;
      const head = await bench.headNumber();
      await runner.until(({ lastError }) => lastError?.includes(`does not serve block ${head + 1n}`) ?? false);
      expect(await stored('beyond')).toEqual({ tip: head, orphans: 0 });
      bench.node.tell = undefined;
      await bench.expectTruth(runner, 'beyond');
    });
  });

  it('sets nothing aside for hashes that no block stands behind', async () => {
    await bench.following('hashes', async (runner) => {
      await bench.expectTruth(runner, 'hashes');
      const head = await bench.headNumber();
      const told: Tell = (call, answer) => {
        const block = answer as RpcBlock;
        return isBlock(call) && call.params[1] === false && block?.number === quantity(head)
          ? { ...block, hash: `0x${'66'.repeat(32)}` }
          : answer;
      };
      bench.node.tell = told;
      await runner.until(({ lastError }) => lastError?.includes('do not fit together') ?? false);
      expect(await stored('hashes')).toEqual({ tip: head, orphans: 0 });
      bench.node.tell = undefined;
      await bench.expectTruth(runner, 'hashes');
      const { rows } = await bench.sql.query(`SELECT 1 FROM mirror.reorganisation WHERE network = 'hashes'`);
      expect(rows).toEqual([]);
    });
  });

  it('takes nothing back that is final, and follows again by itself when the node is back on its chain', async () => {
    await bench.following('final', async (runner) => {
      await bench.expectTruth(runner, 'final');
      const head = await bench.headNumber();
      const mirrored = await mirroredEvents(bench.sql, 'final');
      bench.node.tell = (call, answer) => {
        const block = answer as RpcBlock;
        const replaced = isBlock(call) && call.params[1] === false && BigInt(block?.number ?? 0) > head - 5n;
        return replaced ? { ...block, hash: `${block.hash.slice(0, -4)}beef` } : answer;
      };
      await runner.until(({ phase }) => phase === 'stopped');
      expect(runner.state.stoppedReason).toMatch(/beyond finality/);
      expect(await mirroredEvents(bench.sql, 'final')).toEqual(mirrored);
      bench.node.tell = undefined;
      await bench.expectTruth(runner, 'final');
      const { rows } = await bench.sql.query(
        `SELECT kind, resolved_at IS NOT NULL AS resolved FROM mirror.incident WHERE network = 'final'`,
      );
      expect(rows).toEqual([{ kind: 'beyond-finality', resolved: true }]);
    });
  });

  it('is waited for while it tells an old head, and nothing is undone', async () => {
    await bench.following('stale', async (runner) => {
      await bench.expectTruth(runner, 'stale');
      const old = await bench.truthOf(bench.middle);
      const head = await bench.headNumber();
      bench.node.tell = (call, answer) => {
        if (call.method === 'eth_subscription') return old.block;
        return call.params[0] === 'latest' ? old.block : answer;
      };
      await bench.mine();
      await runner.until(({ headNumber: heard }) => heard === bench.middle);
      expect(await stored('stale')).toEqual({ tip: head, orphans: 0 });
      bench.node.tell = undefined;
      await bench.expectTruth(runner, 'stale');
    });
  });

  it('is refused when it has another chain id, and followed when it has the right one', async () => {
    await bench.following('chain-id', async (runner) => {
      bench.node.tell = ({ method }, answer) => (method === 'eth_chainId' ? '0x1' : answer);
      await runner.until(({ phase }) => phase === 'stopped');
      expect(runner.state.stoppedReason).toMatch(/chain id/);
      expect(await stored('chain-id')).toEqual({ tip: -1n, orphans: -1 });
      bench.node.tell = undefined;
      await bench.expectTruth(runner, 'chain-id');
    });
  });

  it('is caught when it gives a sound block in the place of another', async () => {
    await bench.following('place', async (runner) => {
      await bench.expectTruth(runner, 'place');
      const other = await bench.truthOf(bench.middle);
      let number = 0n;
      await bench.node.holding(async () => {
        number = await bench.mine();
        const { hash } = (await bench.truthOf(number)).block;
        bench.node.tell = (call, answer) => {
          if (isBlock(call) && call.params[1] === true && (answer as RpcBlock)?.hash === hash) return other.block;
          return call.method === 'eth_getBlockReceipts' && call.params[0] === hash ? other.receipts : answer;
        };
      });
      await runner.until(({ phase }) => phase === 'stopped');
      await bench.expectCaught(runner, 'place', number);
      bench.node.tell = undefined;
      await bench.expectTruth(runner, 'place');
    });
  });

  it.each<[string, (told: Told) => void]>([
    ['leaves a field out', ({ block }) => Object.assign(block, { receiptsRoot: undefined })],
    ['gives a field in another length', ({ block }) => Object.assign(block, { stateRoot: '0x00' })],
    [
      'gives a number that is none',
      ({ receipts }) => Object.assign(receipts[0] as object, { cumulativeGasUsed: '12' }),
    ],
  ])('is caught when it %s', async (what, apply) => {
    await bench.following(what, async (runner) => {
      bench.node.tell = telling({ name: what, apply }, [
        await bench.truthOf(bench.middle - 1n),
        await bench.truthOf(bench.middle),
      ]);
      await runner.until(({ phase }) => phase === 'stopped');
      expect(runner.state.stoppedReason).toMatch(new RegExp(`^Block ${bench.middle} \\(0x.*The node`));
      expect((await stored(what)).tip).toBeLessThan(bench.middle);
      bench.node.tell = undefined;
      await bench.expectTruth(runner, what);
    });
  });

  it('raises no alarm for an answer that was garbled once, but keeps it on record', async () => {
    await bench.following('once', async (runner) => {
      await bench.expectTruth(runner, 'once');
      const parent = await bench.truthOf(await bench.headNumber());
      await bench.node.holding(async () => {
        const told = telling(lies.find(({ name }) => name === 'drops a log') as Lie, [
          parent,
          await bench.truthOf(await bench.mine()),
        ]);
        let left = 1;
        bench.node.tell = (call, answer) => {
          const wrong = told(call, answer);
          if (wrong === answer || (call.method === 'eth_getBlockReceipts' && left-- <= 0)) return answer;
          return wrong;
        };
      });
      await bench.expectTruth(runner, 'once');
      expect(runner.lines.filter((line) => line.startsWith('ALARM'))).toEqual([]);
      const { rows } = await bench.sql.query(
        `SELECT kind, seen, resolved_at IS NOT NULL AS resolved FROM mirror.incident WHERE network = 'once'`,
      );
      expect(rows).toEqual([{ kind: 'mismatch', seen: 1, resolved: true }]);
    });
  });
});
