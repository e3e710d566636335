import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { tieProcessesToUs } from '../../deploy/geth/child-process.js';
import { foundingOf, isFounded } from '../../deploy/geth/founding.js';
import { ipcCall } from '../../deploy/geth/ipc.js';
import { type RunningNetwork, startNetwork } from '../../deploy/geth/network.js';
import type { Member } from '../../deploy/geth/node-set.js';
import { nodeState } from '../../deploy/geth/node-state.js';
import type { NewOperation } from '../../libs/chain-client/src/submission/operation.types.js';
import type { Submission } from '../../libs/chain-client/src/submission/submission.js';
import { type TestChain, testHospital } from '../stack/chain.js';
import { type Bench, startBench } from '../submission/harness.js';

/** Two hospitals mined one genesis apart; on this day their nodes meet. One real miner each, one thread each. */
const CHAIN = 81;
/** blocks until final; must be more than either history, or the indexer stops rather than edit what it called final */
const DEPTH = 24;
const QUERIES = 10;
const MINUTE = 60_000;
const LETTERS = ['A', 'B'] as const;

tieProcessesToUs();
const founders = [testHospital(1), testHospital(2)];
const founding = foundingOf(
  CHAIN,
  founders.map(({ entry }) => entry),
  2,
);
/** request ids of each hospital's acts, hexadecimal */
const acts: [string[], string[]] = [[], []];
const benches: Bench[] = [];
const submissions: Submission[] = [];
const began = Date.now();
let dir: string;
let network: RunningNetwork;
let members: Member[];

const say = (text: string) =>
  process.stdout.write(`${((Date.now() - began) / 1000).toFixed(0).padStart(5)} s  ${text}\n`);
const bench = (index: number) => benches[index] as Bench;
const socket = (index: number) => network.nodes[index]?.ipcPath ?? '';
const head = async (index: number) => (await nodeState(socket(index))).head;
const poll = <T>(probe: () => Promise<T>) => expect.poll(probe, { timeout: 15 * MINUTE, interval: 500 });

/** The request ids of acts in a hospital's mirror, oldest first. Founding events answer no request. */
const mirrored = async (index: number) =>
  (await bench(index).events()).map(({ requestId }) => requestId).filter((requestId) => !/^0+$/.test(requestId));
const count = async (index: number, table: string): Promise<number> => {
  const [row] = await bench(index).dataSource.query(`SELECT count(*)::int AS count FROM ${table}`);
  return row.count;
};
const sends = async (index: number): Promise<number> => {
  const [row] = await bench(index).dataSource.query(
    'SELECT coalesce(sum(sends), 0)::int AS count FROM gateway.attempt',
  );
  return row.count;
};

function chainOf(index: number): TestChain {
  const node = network.nodes[index];
  if (!node) throw new Error('no such node');
  const hospital = founders[index];
  if (!hospital) throw new Error('no such hospital');
  const never = () => Promise.reject(new Error('not in this test'));
  return {
    ...{ kind: 'geth', rpcUrl: node.ipcPath, chainId: CHAIN, contract: founding.contract, startBlock: 0n },
    ...{ genesisHash: network.genesisHash, relayerKeys: hospital.relayerKeys, registrarKey: hospital.registrarKey },
    ...{ hospitals: founders, dir: node.dir, node: node.supervised.current()!, kill: never, restart: never },
    stop: async () => {},
  };
}

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'emr-peering-day-'));
  const logger = { info: say, warn: say };
  network = await startNetwork({
    ...{ dir, logger, apart: true },
    shape: { consensus: 'pow', chainId: CHAIN, nodes: 2, difficulty: 131_072 },
  });
  members = network.members;
  for (const index of [0, 1]) {
    await ipcCall(socket(index), 'eth_sendRawTransaction', [founding.transaction]);
    const founded = async () => expect(await isFounded(socket(index), founding)).toBe(true);
    await vi.waitFor(founded, { timeout: 15 * MINUTE, interval: 500 });
    say(`hospital ${LETTERS[index]}: its own chain has the ledger, block ${(await head(index)).number}`);
    benches.push(await startBench({}, { chain: chainOf(index), hospital: index + 1, finalityDepth: DEPTH }));
    submissions.push(await bench(index).submission());
  }
});
afterAll(async () => {
  for (const each of benches) await each.stop();
  await network?.stop();
  await rm(dir, { recursive: true, force: true });
});

it('two chains of one genesis meet: the heavier stays, and every act of the other hospital comes back once', async () => {
  await Promise.all([0, 1].map(live));
  // A mines on until its chain is the heavier one.
  await ipcCall(socket(1), 'miner_stop');
  const apart = await head(1);
  expect(apart.number).toBeLessThan(DEPTH);
  await poll(async () => Number((await head(0)).totalDifficulty)).toBeGreaterThan(
    Number(apart.totalDifficulty) + 300_000,
  );
  await ipcCall(socket(0), 'miner_stop');
  const heavier = await head(0);
  say(
    `apart: A block ${heavier.number}, total difficulty ${heavier.totalDifficulty}; B block ${apart.number}, ${apart.totalDifficulty}`,
  );
  expect(heavier.hash).not.toBe(apart.hash);
  const before = await sends(1);
  expect(await mirrored(1)).toEqual(acts[1]);
  const eventsApart = await count(1, 'mirror.emr_event');

  await network.set.setApart(false);
  await poll(async () => (await head(1)).hash).toBe(heavier.hash);
  say('peered: both nodes have A’s head');
  await poll(() => count(1, 'mirror.reorganisation')).toBe(1);
  expect(await mirrored(1)).toEqual(acts[0]);
  // With the events of the ledger's founding, which stand on both chains.
  expect(await count(1, 'mirror.orphaned_event')).toBe(eventsApart);
  expect(await count(0, 'mirror.reorganisation')).toBe(0);
  say(`B’s mirror: ${acts[1].length} events orphaned and kept, A’s ${acts[0].length} in their place`);

  // geth puts the transactions of dropped blocks back into its own pool. Both pools are lost, so that only the stored bytes are left.
  for (const node of [...network.set.nodes]) {
    await node.current()?.kill();
    await network.set.remove(node);
  }
  for (const member of members) await rm(join(member.dir, 'geth', 'transactions.rlp'), { force: true });
  for (const member of members) await network.set.add(member);
  await network.set.ready();
  say('both nodes restarted with empty pools, mining');

  for (const index of [0, 1])
    await poll(async () => (await mirrored(index)).length).toBe(acts[0].length + acts[1].length);
  const together = await head(1);
  say(`block ${together.number}: all ${acts[0].length + acts[1].length} acts are in both mirrors`);
  for (const index of [0, 1] as const) {
    for (const requestId of acts[index]) {
      const end = await submissions[index]?.outcomes.waitFor('local', Buffer.from(requestId, 'hex'), 15 * MINUTE);
      expect(end?.state, requestId).toBe('confirmed');
    }
  }
  say(`block ${(await head(1)).number}: all of them are final`);

  const [a, b] = await Promise.all([mirrored(0), mirrored(1)]);
  expect(b).toEqual(a);
  expect(new Set(a).size).toBe(a.length);
  expect([...a].sort()).toEqual([...acts[0], ...acts[1]].sort());
  // What A had stays where it was; B's acts follow.
  expect(a.slice(0, acts[0].length)).toEqual(acts[0]);
  const again = (await sends(1)) - before;
  expect(again).toBeGreaterThan(0);
  const [reorganisation] = await bench(1).dataSource.query(
    'SELECT ancestor_number, depth, beyond_finality FROM mirror.reorganisation',
  );
  expect(reorganisation).toMatchObject({ ancestor_number: '0', depth: apart.number, beyond_finality: false });
  say(`B sent ${again} times from stored bytes after the day; reorganisation: ${JSON.stringify(reorganisation)}`);
  say(`nothing lost, nothing doubled: ${a.length} acts, ${new Set(a).size} request ids`);
});

/** A hospital's life before the day: a clinician, a record, looks at it; until all of it is in its own mirror. */
async function live(index: number): Promise<void> {
  const submission = submissions[index] as Submission;
  const mine = acts[index as 0 | 1];
  const accept = async (_: Submission, operation: NewOperation) => {
    mine.push(operation.requestId.toString('hex'));
    await submission.acceptor.accept(operation);
    await poll(() => mirrored(index)).toContain(mine.at(-1));
  };
  const clinician = await bench(index).clinician(submission, accept);
  for (let each = 0; each < QUERIES; each += 1) {
    const query = clinician.query(randomBytes(32));
    mine.push(query.requestId.toString('hex'));
    await submission.acceptor.accept(query);
  }
  await poll(async () => (await mirrored(index)).length).toBe(mine.length);
  acts[index as 0 | 1] = await mirrored(index);
  say(`hospital ${LETTERS[index]}: ${mine.length} acts on its own chain, block ${(await head(index)).number}`);
}
