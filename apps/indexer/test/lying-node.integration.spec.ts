import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import type { DataSource } from 'typeorm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createDataSource } from '../../../libs/database/src/data-source.js';
import { fromHex, toHex } from '../../../libs/platform/src/bytes.js';
import { keccak256 } from '../../../libs/platform/src/keccak.js';
import type { NetworkConfig } from '../../../libs/platform/src/networks.js';
import { encodeHeader } from '../../../libs/proof/src/header.js';
import { encodeReceipt } from '../../../libs/proof/src/receipts-trie.js';
import { encodeBlock, encodeTransaction } from '../../../libs/proof/src/transactions-trie.js';
import { startTestChain, type TestChain } from '../../../test/stack/chain.js';
import { freshDatabase, type TestDatabase } from '../../../test/stack/database.js';
import { parseBlock, type RpcBlock, type RpcReceipt } from '../src/follow/rpc-block.js';
import { chainEvents, type EventLine, mirroredEvents } from './chain-oracle.js';
import { LedgerLoad } from './ledger-load.js';
import { type Lie, lies, type Told } from './lies.js';
import { LyingNode, type Tell } from './lying-node.js';
import { WatchedRunner } from './watched-runner.js';

const DEPTH = 3;

let chain: TestChain;
let database: TestDatabase;
let dataSource: DataSource;
let dir: string;
let load: LedgerLoad;
let node: LyingNode;
let sql: pg.Client;
/** A block in the middle of history, and what it holds. */
let middle: bigint;

beforeAll(async () => {
  [chain, database, dir] = await Promise.all([startTestChain(), freshDatabase(), mkdtemp(join(tmpdir(), 'emr-lies-'))]);
  load = new LedgerLoad({ ...chain, relayerKey: chain.relayerKeys[0] as Buffer });
  node = await LyingNode.start(join(dir, 'node.ipc'), chain.rpcUrl);
  sql = new pg.Client({ connectionString: database.superuserUrl });
  dataSource = createDataSource({ url: database.mirrorUrl, applicationName: 'emr-indexer-test', searchPath: 'mirror' });
  await Promise.all([sql.connect(), dataSource.initialize()]);
  await load.prepare(3);
  for (let block = 0; block < 6; block++) middle = await mine();
  for (let block = 0; block < 4; block++) await mine();
});
afterAll(async () => {
  await load?.close();
  await node?.stop();
  await sql?.end();
  await dataSource?.destroy();
  await chain?.stop();
  await database?.drop();
  if (dir) await rm(dir, { recursive: true, force: true });
});

/** A block of three transactions: two with acts, one from the relayer to itself. */
function mine(): Promise<bigint> {
  return load.together([load.queries(3), load.queries(2), []]);
}

function networkNamed(name: string): NetworkConfig {
  return {
    name,
    chainId: BigInt(chain.chainId),
    rpc: node.path,
    contract: fromHex(chain.contract),
    startBlock: chain.startBlock,
    genesisHash: fromHex(chain.genesisHash),
    finalityDepth: DEPTH,
    gasLimit: 60_000_000,
    storeRawBlocks: true,
    relayers: [],
  };
}

/** The block as the node has it. */
async function truthOf(number: bigint): Promise<Told> {
  const block = await load.request<RpcBlock>('eth_getBlockByNumber', [`0x${number.toString(16)}`, true]);
  return { block, receipts: await load.request<RpcReceipt[]>('eth_getBlockReceipts', [block.hash]) };
}

/** Tells every full block that `isLiedOf`, and its receipts, with the lie. */
function telling(lie: Lie, truths: Told[]): Tell {
  const told = truths.slice(1).map((truth, index) => {
    const copy = structuredClone(truth);
    lie.apply(copy, structuredClone(truths[index] as Told));
    return { truth, copy };
  });
  return ({ method, params }, answer) => {
    if (method.startsWith('eth_getBlockBy') && params[1] === true) {
      return told.find(({ truth }) => truth.block.hash === (answer as RpcBlock | null)?.hash)?.copy.block ?? answer;
    }
    if (method === 'eth_getBlockReceipts') {
      const asked = told.find(({ truth, copy }) => [truth.block.hash, copy.block.hash].includes(params[0] as string));
      return asked?.copy.receipts ?? answer;
    }
    if (method === 'debug_getRawBlock') {
      const asked = told.find(({ truth }) => [truth.block.hash, truth.block.number].includes(params[0] as string));
      return asked ? rawOf(asked.copy).block : answer;
    }
    if (method === 'debug_getRawReceipts') {
      const asked = told.find(({ truth, copy }) => [truth.block.hash, rawOf(copy).hash].includes(params[0] as string));
      return asked ? rawOf(asked.copy).receipts : answer;
    }
    return answer;
  };
}

/** The bytes that a block told in JSON would be, the hash that follows from them, and the receipts' bytes. */
function rawOf({ block, receipts }: Told): { block: string; hash: string; receipts: string[] } {
  const fetched = parseBlock(block, receipts);
  const header = encodeHeader(fetched.header);
  return {
    block: toHex(encodeBlock(header, fetched.transactions.map(encodeTransaction))),
    hash: toHex(keccak256(header)),
    receipts: fetched.receipts.map((receipt) => toHex(encodeReceipt(receipt))),
  };
}

async function headNumber(): Promise<bigint> {
  return BigInt(await load.request<string>('eth_blockNumber'));
}

/** Everything an operator and an auditor can see says which block, and nothing of it or after it is stored. */
async function expectCaught(runner: WatchedRunner, name: string, number: bigint): Promise<void> {
  const { state } = runner;
  const naming = new RegExp(`^Block ${number} \\(0x`);
  expect(state.stoppedReason).toMatch(naming);
  expect(state.toJSON()).toMatchObject({ phase: 'stopped', stoppedReason: expect.stringMatching(naming) });
  expect(runner.lines.find((line) => line.startsWith('ALARM'))).toContain(`Block ${number} (0x`);
  const metrics = await runner.metrics.registry.metrics();
  expect(metrics).toContain(`emr_indexer_stopped{network="${name}"} 1`);
  expect(metrics).toMatch(new RegExp(`emr_indexer_mismatches_total\\{network="${name}"\\} [1-9]`));
  const { rows } = await sql.query(
    `SELECT stopped_reason AS reason, number::int AS tip,
       (SELECT max(number)::int FROM mirror.block b WHERE b.network = c.network) AS block,
       (SELECT max(block_number)::int FROM mirror.inclusion i WHERE i.network = c.network) AS inclusion,
       (SELECT array_agg(kind || ' ' || block_number) FROM mirror.incident i
        WHERE i.network = c.network AND resolved_at IS NULL) AS incidents
     FROM mirror.cursor c WHERE network = $1`,
    [name],
  );
  expect(rows).toEqual([
    {
      reason: expect.stringMatching(naming),
      tip: Number(number) - 1,
      block: Number(number) - 1,
      inclusion: Number(number) - 1,
      incidents: [`mismatch ${number}`],
    },
  ]);
}

/** The runner has the node's head, and nobody says anything else any more. */
async function expectTruth(runner: WatchedRunner, name: string): Promise<void> {
  const head = await truthOf(await headNumber());
  await runner.until(({ mirror, phase, lastError, stoppedReason }) => {
    const settled = phase === 'following' && lastError === undefined && stoppedReason === undefined;
    return settled && `0x${mirror?.tip.hash.toString('hex')}` === head.block.hash;
  });
  const { rows } = await sql.query(
    `SELECT stopped_reason AS reason, array(SELECT DISTINCT '0x' || encode(sender, 'hex') FROM mirror.inclusion WHERE network = $1) AS senders,
       (SELECT count(*)::int FROM mirror.incident i WHERE i.network = c.network AND resolved_at IS NULL) AS open
     FROM mirror.cursor c WHERE network = $1`,
    [name],
  );
  expect(rows).toEqual([{ reason: null, senders: [head.block.transactions[0]?.from], open: 0 }]);
}

async function following<T>(name: string, act: (runner: WatchedRunner) => Promise<T>): Promise<T> {
  const runner = new WatchedRunner(networkNamed(name), dataSource);
  try {
    return await act(runner);
  } finally {
    node.tell = undefined;
    await runner.stop();
  }
}

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

describe('a node that lies of a block', () => {
  it('is asked for blocks of which every lie can be told', async () => {
    const { block, receipts } = await truthOf(middle);
    expect(receipts.map(({ logs }) => logs.length)).toEqual([4, 3, 0]);
    for (const lie of lies) {
      const told = structuredClone({ block, receipts });
      lie.apply(told, structuredClone(await truthOf(middle - 1n)));
      expect(told, lie.name).not.toEqual({ block, receipts });
    }
  });

  describe('in history', () => {
    let truth: EventLine[];
    let before: EventLine[];
    let tell: (lie: Lie) => Tell;

    beforeAll(async () => {
      truth = await chainEvents(load, chain.contract);
      const blocks = await Promise.all(Array.from({ length: Number(middle) }, (_, number) => truthOf(BigInt(number))));
      const hashes = new Set(blocks.map(({ block }) => block.hash));
      before = truth.filter(({ block }) => hashes.has(block));
      const told = [blocks.at(-1) as Told, await truthOf(middle)];
      tell = (lie) => telling(lie, told);
    });

    async function expectCaughtInHistory(name: string, lie: Lie): Promise<void> {
      node.tell = tell(lie);
      await following(name, async (runner) => {
        await runner.until(({ phase }) => phase === 'stopped');
        await expectCaught(runner, name, middle);
        expect(await mirroredEvents(sql, name)).toEqual(before);
        node.tell = undefined;
        await expectTruth(runner, name);
        expect(await mirroredEvents(sql, name)).toEqual(truth);
      });
    }

    it.each(named)('%s', expectCaughtInHistory);

    describe('told in raw bytes', () => {
      beforeAll(() => {
        node.raw = true;
      });
      afterAll(() => {
        node.raw = false;
      });

      it.each(namedInBytes)('%s', async (name, lie) => {
        const copy = structuredClone(await truthOf(middle));
        lie.apply(copy, structuredClone(await truthOf(middle - 1n)));
        expect(rawOf(copy)).not.toEqual(rawOf(await truthOf(middle)));
        await expectCaughtInHistory(`raw: ${name}`, lie);
      });
    });
  });

  describe('at the head', () => {
    const name = 'head';
    let runner: WatchedRunner;

    beforeAll(() => {
      runner = new WatchedRunner(networkNamed(name), dataSource);
    });
    afterAll(async () => {
      await runner?.stop();
    });

    it.each(named)('%s', async (_name, lie) => {
      await expectTruth(runner, name);
      runner.lines.length = 0;
      const parent = await truthOf(await headNumber());
      await node.holding(async () => {
        node.tell = telling(lie, [parent, await truthOf(await mine())]);
      });
      try {
        await runner.until(({ phase }) => phase === 'stopped');
        await expectCaught(runner, name, BigInt(parent.block.number) + 1n);
      } finally {
        node.tell = undefined;
      }
      await expectTruth(runner, name);
    });

    it('is believed again after every lie, and the mirror holds what the chain holds', async () => {
      expect(await mirroredEvents(sql, name)).toEqual(await chainEvents(load, chain.contract));
      const { rows } = await sql.query(
        `SELECT count(*)::int AS caught, count(DISTINCT block_number)::int AS blocks, count(resolved_at)::int AS resolved
         FROM mirror.incident WHERE network = $1`,
        [name],
      );
      expect(rows).toEqual([{ caught: lies.length, blocks: lies.length, resolved: lies.length }]);
    });
  });
});

describe('a node that lies of its chain', () => {
  const quantity = (number: bigint) => `0x${number.toString(16)}`;
  const isBlock = ({ method }: { method: string }) => method.startsWith('eth_getBlockBy');

  async function stored(name: string): Promise<{ tip: bigint; orphans: number }> {
    const { rows } = await sql.query<{ tip: string; orphans: number }>(
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
    await following(name, async (runner) => {
      await expectTruth(runner, name);
      let number = 0n;
      await node.holding(async () => {
        number = await mine();
        node.tell = withhold(number, (await truthOf(number)).block.hash);
      });
      await runner.until(({ lastError }) => lastError?.includes(`does not serve block ${number}`) ?? false);
      expect(await stored(name)).toEqual({ tip: number - 1n, orphans: 0 });
      node.tell = undefined;
      await expectTruth(runner, name);
    });
  });

  it('is told on when its head is beyond what it has, and everything it has is mirrored', async () => {
    await following('beyond', async (runner) => {
      const far = (block: unknown) => ({
        ...(block as RpcBlock),
        number: quantity(10n ** 9n),
        hash: `0x${'77'.repeat(32)}`,
      });
      node.tell = (call, answer) =>
        call.params[0] === 'latest' || call.method === 'eth_subscription' ? far(answer) : answer;
      const head = await headNumber();
      await runner.until(({ lastError }) => lastError?.includes(`does not serve block ${head + 1n}`) ?? false);
      expect(await stored('beyond')).toEqual({ tip: head, orphans: 0 });
      node.tell = undefined;
      await expectTruth(runner, 'beyond');
    });
  });

  it('sets nothing aside for hashes that no block stands behind', async () => {
    await following('hashes', async (runner) => {
      await expectTruth(runner, 'hashes');
      const head = await headNumber();
      const told: Tell = (call, answer) => {
        const block = answer as RpcBlock;
        return isBlock(call) && call.params[1] === false && block?.number === quantity(head)
          ? { ...block, hash: `0x${'66'.repeat(32)}` }
          : answer;
      };
      node.tell = told;
      await runner.until(({ lastError }) => lastError?.includes('do not fit together') ?? false);
      expect(await stored('hashes')).toEqual({ tip: head, orphans: 0 });
      node.tell = undefined;
      await expectTruth(runner, 'hashes');
      const { rows } = await sql.query(`SELECT 1 FROM mirror.reorganisation WHERE network = 'hashes'`);
      expect(rows).toEqual([]);
    });
  });

  it('takes nothing back that is final, and follows again by itself when the node is back on its chain', async () => {
    await following('final', async (runner) => {
      await expectTruth(runner, 'final');
      const head = await headNumber();
      const mirrored = await mirroredEvents(sql, 'final');
      node.tell = (call, answer) => {
        const block = answer as RpcBlock;
        const replaced = isBlock(call) && call.params[1] === false && BigInt(block?.number ?? 0) > head - 5n;
        return replaced ? { ...block, hash: `${block.hash.slice(0, -4)}beef` } : answer;
      };
      await runner.until(({ phase }) => phase === 'stopped');
      expect(runner.state.stoppedReason).toMatch(/beyond finality/);
      expect(await mirroredEvents(sql, 'final')).toEqual(mirrored);
      node.tell = undefined;
      await expectTruth(runner, 'final');
      const { rows } = await sql.query(
        `SELECT kind, resolved_at IS NOT NULL AS resolved FROM mirror.incident WHERE network = 'final'`,
      );
      expect(rows).toEqual([{ kind: 'beyond-finality', resolved: true }]);
    });
  });

  it('is waited for while it tells an old head, and nothing is undone', async () => {
    await following('stale', async (runner) => {
      await expectTruth(runner, 'stale');
      const old = await truthOf(middle);
      const head = await headNumber();
      node.tell = (call, answer) => {
        if (call.method === 'eth_subscription') return old.block;
        return call.params[0] === 'latest' ? old.block : answer;
      };
      await mine();
      await runner.until(({ headNumber: heard }) => heard === middle);
      expect(await stored('stale')).toEqual({ tip: head, orphans: 0 });
      node.tell = undefined;
      await expectTruth(runner, 'stale');
    });
  });

  it('is refused when it has another chain id, and followed when it has the right one', async () => {
    await following('chain-id', async (runner) => {
      node.tell = ({ method }, answer) => (method === 'eth_chainId' ? '0x1' : answer);
      await runner.until(({ phase }) => phase === 'stopped');
      expect(runner.state.stoppedReason).toMatch(/chain id/);
      expect(await stored('chain-id')).toEqual({ tip: -1n, orphans: -1 });
      node.tell = undefined;
      await expectTruth(runner, 'chain-id');
    });
  });

  it('is caught when it gives a sound block in the place of another', async () => {
    await following('place', async (runner) => {
      await expectTruth(runner, 'place');
      const other = await truthOf(middle);
      let number = 0n;
      await node.holding(async () => {
        number = await mine();
        const { hash } = (await truthOf(number)).block;
        node.tell = (call, answer) => {
          if (isBlock(call) && call.params[1] === true && (answer as RpcBlock)?.hash === hash) return other.block;
          return call.method === 'eth_getBlockReceipts' && call.params[0] === hash ? other.receipts : answer;
        };
      });
      await runner.until(({ phase }) => phase === 'stopped');
      await expectCaught(runner, 'place', number);
      node.tell = undefined;
      await expectTruth(runner, 'place');
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
    await following(what, async (runner) => {
      node.tell = telling({ name: what, apply }, [await truthOf(middle - 1n), await truthOf(middle)]);
      await runner.until(({ phase }) => phase === 'stopped');
      expect(runner.state.stoppedReason).toMatch(new RegExp(`^Block ${middle} \\(0x.*The node`));
      expect((await stored(what)).tip).toBeLessThan(middle);
      node.tell = undefined;
      await expectTruth(runner, what);
    });
  });

  it('raises no alarm for an answer that was garbled once, but keeps it on record', async () => {
    await following('once', async (runner) => {
      await expectTruth(runner, 'once');
      const parent = await truthOf(await headNumber());
      await node.holding(async () => {
        const told = telling(lies.find(({ name }) => name === 'drops a log') as Lie, [
          parent,
          await truthOf(await mine()),
        ]);
        let left = 1;
        node.tell = (call, answer) => {
          const wrong = told(call, answer);
          if (wrong === answer || (call.method === 'eth_getBlockReceipts' && left-- <= 0)) return answer;
          return wrong;
        };
      });
      await expectTruth(runner, 'once');
      expect(runner.lines.filter((line) => line.startsWith('ALARM'))).toEqual([]);
      const { rows } = await sql.query(
        `SELECT kind, seen, resolved_at IS NOT NULL AS resolved FROM mirror.incident WHERE network = 'once'`,
      );
      expect(rows).toEqual([{ kind: 'mismatch', seen: 1, resolved: true }]);
    });
  });
});
