import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import type { DataSource } from 'typeorm';
import { expect } from 'vitest';
import { parseBlock, type RpcBlock, type RpcReceipt } from '../../apps/indexer/src/follow/rpc-block.js';
import { LedgerLoad } from '../../apps/indexer/test/ledger-load.js';
import type { Lie, Told } from '../../apps/indexer/test/lies.js';
import { LyingNode, type Tell } from '../../apps/indexer/test/lying-node.js';
import { WatchedRunner } from '../../apps/indexer/test/watched-runner.js';
import { createDataSource } from '../../libs/database/src/data-source.js';
import { fromHex, toHex } from '../../libs/platform/src/bytes.js';
import { keccak256 } from '../../libs/platform/src/keccak.js';
import type { NetworkConfig } from '../../libs/platform/src/networks.js';
import { encodeHeader } from '../../libs/proof/src/header.js';
import { encodeReceipt } from '../../libs/proof/src/receipts-trie.js';
import { encodeRlp, integer, joinRlp } from '../../libs/proof/src/rlp.js';
import { encodeBlock, encodeTransaction } from '../../libs/proof/src/transactions-trie.js';
import { startTestChain, type TestChain } from '../stack/chain.js';
import { freshDatabase, type TestDatabase } from '../stack/database.js';

const DEPTH = 3;

/** A chain with some history, a node of it that lies when told to, a mirror, and what must be seen of a lie. */
export class LiarBench {
  /** A block in the middle of history, and what it holds. */
  middle = 0n;

  private constructor(
    readonly chain: TestChain,
    readonly load: LedgerLoad,
    readonly node: LyingNode,
    readonly sql: pg.Client,
    readonly dataSource: DataSource,
    private readonly database: TestDatabase,
    private readonly dir: string,
  ) {}

  static async start(): Promise<LiarBench> {
    const [chain, database, dir] = await Promise.all([
      startTestChain(),
      freshDatabase(),
      mkdtemp(join(tmpdir(), 'emr-lies-')),
    ]);
    const load = new LedgerLoad({ ...chain, relayerKey: chain.relayerKeys[0] as Buffer });
    const node = await LyingNode.start(join(dir, 'node.ipc'), chain.rpcUrl);
    const sql = new pg.Client({ connectionString: database.superuserUrl });
    const dataSource = createDataSource({
      url: database.mirrorUrl,
      applicationName: 'emr-indexer-test',
      searchPath: 'mirror',
    });
    const bench = new LiarBench(chain, load, node, sql, dataSource, database, dir);
    await Promise.all([sql.connect(), dataSource.initialize()]);
    await load.prepare(3);
    for (let block = 0; block < 6; block++) bench.middle = await bench.mine();
    for (let block = 0; block < 4; block++) await bench.mine();
    return bench;
  }

  get mirrorUrl(): string {
    return this.database.mirrorUrl;
  }

  async stop(): Promise<void> {
    await this.load.close();
    await this.node.stop();
    await this.sql.end();
    await this.dataSource.destroy();
    await this.chain.stop();
    await this.database.drop();
    await rm(this.dir, { recursive: true, force: true });
  }

  /** A block of three transactions: two with acts, one from the relayer to itself. */
  mine(): Promise<bigint> {
    return this.load.together([this.load.queries(3), this.load.queries(2), []]);
  }

  networkNamed(name: string): NetworkConfig {
    return {
      name,
      chainId: BigInt(this.chain.chainId),
      rpc: this.node.path,
      contract: fromHex(this.chain.contract),
      startBlock: this.chain.startBlock,
      genesisHash: fromHex(this.chain.genesisHash),
      finalityDepth: DEPTH,
      gasLimit: 60_000_000,
      storeRawBlocks: true,
      relayers: [],
    };
  }

  /** The block as the node has it. */
  async truthOf(number: bigint): Promise<Told> {
    const block = await this.load.request<RpcBlock>('eth_getBlockByNumber', [`0x${number.toString(16)}`, true]);
    return { block, receipts: await this.load.request<RpcReceipt[]>('eth_getBlockReceipts', [block.hash]) };
  }

  async headNumber(): Promise<bigint> {
    return BigInt(await this.load.request<string>('eth_blockNumber'));
  }

  /** Everything an operator and an auditor can see says which block, and nothing of it or after it is stored. */
  async expectCaught(runner: WatchedRunner, name: string, number: bigint): Promise<void> {
    const { state } = runner;
    const naming = new RegExp(`^Block ${number} \\(0x`);
    expect(state.stoppedReason).toMatch(naming);
    expect(state.toJSON()).toMatchObject({ phase: 'stopped', stoppedReason: expect.stringMatching(naming) });
    expect(runner.lines.find((line) => line.startsWith('ALARM'))).toContain(`Block ${number} (0x`);
    const metrics = await runner.metrics.registry.metrics();
    expect(metrics).toContain(`emr_indexer_stopped{network="${name}"} 1`);
    expect(metrics).toMatch(new RegExp(`emr_indexer_mismatches_total\\{network="${name}"\\} [1-9]`));
    const { rows } = await this.sql.query(
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
  async expectTruth(runner: WatchedRunner, name: string): Promise<void> {
    const head = await this.truthOf(await this.headNumber());
    await runner.until(({ mirror, phase, lastError, stoppedReason }) => {
      const settled = phase === 'following' && lastError === undefined && stoppedReason === undefined;
      return settled && `0x${mirror?.tip.hash.toString('hex')}` === head.block.hash;
    });
    const { rows } = await this.sql.query(
      `SELECT stopped_reason AS reason, array(SELECT DISTINCT '0x' || encode(sender, 'hex') FROM mirror.inclusion WHERE network = $1) AS senders,
         (SELECT count(*)::int FROM mirror.incident i WHERE i.network = c.network AND resolved_at IS NULL) AS open
       FROM mirror.cursor c WHERE network = $1`,
      [name],
    );
    expect(rows).toEqual([{ reason: null, senders: [head.block.transactions[0]?.from], open: 0 }]);
  }

  async following<T>(name: string, act: (runner: WatchedRunner) => Promise<T>): Promise<T> {
    const runner = new WatchedRunner(this.networkNamed(name), this.dataSource);
    try {
      return await act(runner);
    } finally {
      this.node.tell = undefined;
      await runner.stop();
    }
  }
}

/** Tells every full block that `isLiedOf`, and its receipts, with the lie. */
export function telling(lie: Lie, truths: Told[]): Tell {
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

/** As `telling`, in the node's database alone: whatever else it is asked it answers truly. */
export function tellingInDatabase(lie: Lie, [before, truth]: [Told, Told]): Tell {
  const copy = structuredClone(truth);
  lie.apply(copy, structuredClone(before));
  const stored = storedOf(copy);
  return ({ method, params }, answer) => {
    if (method !== 'debug_dbGet') return answer;
    const key = (params[0] as string).slice(2);
    return key.endsWith(truth.block.hash.slice(2)) ? (stored[key.slice(0, 2)] ?? answer) : answer;
  };
}

/** Header, body and receipts as the node's database would hold them, under what their keys begin with. */
export function storedOf({ block, receipts }: Told): Record<string, string> {
  const fetched = parseBlock(block, receipts);
  // A typed transaction is a byte string in the body.
  const transactions = fetched.transactions.map((transaction) => {
    const encoded = encodeTransaction(transaction);
    return transaction.type === 0 ? encoded : encodeRlp(encoded);
  });
  const stored = fetched.receipts.map(({ status, cumulativeGasUsed, logs }) => [
    integer(status),
    integer(cumulativeGasUsed),
    logs.map(({ address, topics, data }) => [address, [...topics], data]),
  ]);
  return {
    '68': toHex(encodeHeader(fetched.header)),
    '62': toHex(joinRlp([joinRlp(transactions), encodeRlp([])])),
    '72': toHex(encodeRlp(stored)),
  };
}

/** The bytes that a block told in JSON would be, the hash that follows from them, and the receipts' bytes. */
export function rawOf({ block, receipts }: Told): { block: string; hash: string; receipts: string[] } {
  const fetched = parseBlock(block, receipts);
  const header = encodeHeader(fetched.header);
  return {
    block: toHex(encodeBlock(header, fetched.transactions.map(encodeTransaction))),
    hash: toHex(keccak256(header)),
    receipts: fetched.receipts.map((receipt) => toHex(encodeReceipt(receipt))),
  };
}
