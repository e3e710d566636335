import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import type { DataSource } from 'typeorm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createDataSource } from '../../../libs/database/src/data-source.js';
import { fromHex } from '../../../libs/platform/src/bytes.js';
import type { NetworkConfig } from '../../../libs/platform/src/networks.js';
import { provenSlots, stateRootOf } from '../../../libs/proof/src/state-proof.js';
import { startTestChain, type TestChain } from '../../../test/stack/chain.js';
import { freshDatabase, type TestDatabase } from '../../../test/stack/database.js';
import type { RpcStateProof } from '../src/follow/rpc-block.js';
import { LedgerLoad } from './ledger-load.js';
import { LyingNode, Refusal, type Tell } from './lying-node.js';
import { WatchedRunner } from './watched-runner.js';

let chain: TestChain;
let database: TestDatabase;
let dataSource: DataSource;
let dir: string;
let load: LedgerLoad;
let node: LyingNode;
let witness: LyingNode;
let sql: pg.Client;

beforeAll(async () => {
  [chain, database, dir] = await Promise.all([
    startTestChain(),
    freshDatabase(),
    mkdtemp(join(tmpdir(), 'emr-checkpoint-')),
  ]);
  load = new LedgerLoad({ ...chain, relayerKey: chain.relayerKeys[0] as Buffer });
  node = await LyingNode.start(join(dir, 'node.ipc'), chain.rpcUrl);
  witness = await LyingNode.start(join(dir, 'witness.ipc'), chain.rpcUrl);
  sql = new pg.Client({ connectionString: database.superuserUrl });
  dataSource = createDataSource({ url: database.mirrorUrl, applicationName: 'emr-indexer-test', searchPath: 'mirror' });
  await Promise.all([sql.connect(), dataSource.initialize()]);
  await load.prepare(3);
  // A checkpoint is due after a thousand events.
  for (let block = 0; block < 6; block++) await load.mined(load.queries(200));
});
afterAll(async () => {
  await load?.close();
  await Promise.all([node?.stop(), witness?.stop()]);
  await sql?.end();
  await dataSource?.destroy();
  await chain?.stop();
  await database?.drop();
  if (dir) await rm(dir, { recursive: true, force: true });
});

interface CheckpointRow {
  number: string;
  hash: Buffer;
  sequence: string;
  head: Buffer;
  header: Buffer;
  proof: { account: string[]; sequence: string[]; head: string[] } | null;
  missing: string | null;
  witness: Buffer | null;
}

function network(name: string): NetworkConfig {
  return {
    name,
    chainId: BigInt(chain.chainId),
    rpc: node.path,
    witness: witness.path,
    contract: fromHex(chain.contract),
    startBlock: chain.startBlock,
    genesisHash: fromHex(chain.genesisHash),
    finalityDepth: 1,
    gasLimit: 60_000_000,
    storeRawBlocks: true,
    relayers: [],
  };
}

/** Follows under a name of its own until what is asked at a checkpoint has been answered, or caught as a lie that is over. */
async function checkpointOf(name: string, tell?: Tell): Promise<{ row: CheckpointRow; lines: string[] }> {
  node.tell = tell;
  const runner = new WatchedRunner(network(name), dataSource);
  try {
    for (const deadline = Date.now() + 30_000; Date.now() < deadline; ) {
      const { rows } = await sql.query<CheckpointRow>(
        `SELECT c.block_number AS number, c.block_hash AS hash, c.sequence, c.head, b.header, c.proof, c.proof_missing AS missing,
           c.witness_hash AS witness
         FROM mirror.checkpoint c JOIN mirror.block b ON b.network = c.network AND b.number = c.block_number
         WHERE c.network = $1 AND (c.proof IS NOT NULL OR c.proof_missing IS NOT NULL OR EXISTS (
           SELECT FROM mirror.incident i WHERE i.network = c.network AND resolved_at IS NOT NULL))`,
        [name],
      );
      if (rows[0]) return { row: rows[0], lines: runner.lines };
      await new Promise((wake) => setTimeout(wake, 10));
    }
    throw new Error(`no checkpoint: ${JSON.stringify(runner.state)}\n${runner.lines.join('\n')}`);
  } finally {
    node.tell = undefined;
    witness.tell = undefined;
    await runner.stop();
  }
}

describe('a second node', () => {
  it('shows that ours tells an old head', async () => {
    const old = await load.request('eth_getBlockByNumber', ['0x4', false]);
    const stale: Tell = ({ method, params }, answer) =>
      method === 'eth_subscription' || params[0] === 'latest' ? old : answer;
    const head = BigInt(await load.request<string>('eth_blockNumber'));
    node.tell = stale;
    const runner = new WatchedRunner(network('old'), dataSource);
    try {
      await runner.until(({ phase, behindWitness }) => phase === 'following' && behindWitness === head - 4n);
      expect(await runner.metrics.registry.metrics()).toContain(
        `emr_indexer_behind_witness_blocks{network="old"} ${head - 4n}`,
      );
      node.tell = undefined;
      await runner.until(({ behindWitness }) => behindWitness === 0n);
    } finally {
      node.tell = undefined;
      await runner.stop();
    }
  });
});

describe('a checkpoint', () => {
  it("keeps a proof of the ledger's state that leads from the block to its sequence and head, and the second node's hash", async () => {
    const { row } = await checkpointOf('proven');
    expect(BigInt(row.sequence)).toBeGreaterThan(1_000n);
    const nodes = (list: string[] | undefined) => (list ?? []).map((each) => fromHex(each));
    const word = (slot: number) => Buffer.concat([Buffer.alloc(31), Buffer.of(slot)]);
    const [sequence, head] = provenSlots(stateRootOf(row.header), fromHex(chain.contract), nodes(row.proof?.account), [
      { slot: word(0), nodes: nodes(row.proof?.sequence) },
      { slot: word(1), nodes: nodes(row.proof?.head) },
    ]);
    expect(BigInt(`0x${sequence?.toString('hex')}`)).toBe(BigInt(row.sequence));
    expect(head).toEqual(row.head);
    expect(row.witness).toEqual(row.hash);
    expect(row.missing).toBeNull();
  });

  it.each<[string, Tell]>([
    [
      'lacks the method',
      ({ method }, answer) =>
        method === 'eth_getProof' ? new Refusal(-32601, 'the method eth_getProof does not exist') : answer,
    ],
    [
      'has pruned the state',
      ({ method }, answer) => (method === 'eth_getProof' ? new Refusal(-32000, 'missing trie node') : answer),
    ],
  ])('says why it has no proof where the node %s, and following goes on', async (name, tell) => {
    const { row, lines } = await checkpointOf(name, tell);
    expect(row.proof).toBeNull();
    expect(row.missing).toMatch(/eth_getProof|missing trie node/);
    expect(lines.join('\n')).toContain(`no state proof for the checkpoint at block ${row.number}`);
  });

  it.each<[string, (proof: RpcStateProof) => void]>([
    [
      'a node of the account altered',
      ({ accountProof }) => void accountProof.splice(0, 1, `${accountProof[0]?.slice(0, -2)}00`),
    ],
    ['the slots swapped', ({ storageProof }) => void storageProof.reverse()],
    ['a slot left out', ({ storageProof }) => void storageProof.pop()],
    ['nothing of the account', ({ accountProof }) => void accountProof.splice(0)],
  ])('catches a proof with %s: the operator is told which block', async (name, alter) => {
    const tell: Tell = ({ method }, answer) => {
      if (method !== 'eth_getProof') return answer;
      const copy = structuredClone(answer) as RpcStateProof;
      alter(copy);
      return copy;
    };
    const { row } = await checkpointOf(name, tell);
    expect(row.proof).toBeNull();
    const { rows } = await sql.query(
      `SELECT block_number AS number, detail, resolved_at IS NOT NULL AS resolved FROM mirror.incident WHERE network = $1`,
      [name],
    );
    expect(rows).toEqual([
      { number: row.number, detail: expect.stringContaining(`Block ${row.number} (0x`), resolved: true },
    ]);
  });

  it('raises the alarm where a second node has another block, and goes on', async () => {
    witness.tell = ({ method }, answer) =>
      method.startsWith('eth_getBlockBy') ? { ...(answer as object), hash: `0x${'5e'.repeat(32)}` } : answer;
    const { row, lines } = await checkpointOf('witnessed');
    expect(row.witness).toEqual(Buffer.alloc(32, 0x5e));
    expect(lines.filter((line) => line.startsWith('ALARM')).join()).toContain(`Block ${row.number} (0x`);
    const { rows } = await sql.query(
      `SELECT kind, block_number AS number FROM mirror.incident WHERE network = 'witnessed'`,
    );
    expect(rows).toEqual([{ kind: 'witness', number: row.number }]);
  });

  it('is made without the second node where that does not answer', async () => {
    witness.tell = () => new Refusal(-32000, 'shutting down');
    const { row } = await checkpointOf('alone');
    expect(row.witness).toBeNull();
    expect(row.proof).not.toBeNull();
  });
});
