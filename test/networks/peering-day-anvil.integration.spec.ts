import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { LedgerLoad } from '../../apps/indexer/test/ledger-load.js';
import { startAnvil } from '../../deploy/geth/anvil.js';
import { deployLedger } from '../../deploy/geth/deploy-ledger.js';
import { testHospital } from '../stack/chain.js';
import { type Bench, startBench } from '../submission/harness.js';

/** The peering day of two hospitals on a node that exchanges its history when told to; with real miners: peering-day.pow.spec.ts. */
const CHAIN = 710_078;
const DEPTH = 24;
const QUERIES = 10;

let dir: string;
let bench: Bench;
let other: LedgerLoad;
const poll = <T>(probe: () => Promise<T>) => expect.poll(probe, { timeout: 60_000, interval: 50 });
/** Request ids of acts in B's mirror, oldest first. Founding events answer no request. */
const mirrored = async () =>
  (await bench.events()).map(({ requestId }) => requestId).filter((requestId) => !/^0+$/.test(requestId));
const row = async (sql: string) => (await bench.dataSource.query(sql))[0];

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'emr-peering-day-anvil-'));
  const hospitals = [testHospital(1), testHospital(2)] as const;
  const node = await startAnvil({ dir, chainId: CHAIN, period: 0, logger: { info: () => {}, warn: () => {} } });
  const [a, b] = hospitals;
  const ledger = await deployLedger({
    ...{ ipcPath: node.ipcPath, chainId: CHAIN, deployerKey: a.relayerKeys[0] as Buffer, threshold: 2 },
    hospitals: hospitals.map(({ entry }) => entry),
  });
  const never = () => Promise.reject(new Error('not in this test'));
  bench = await startBench(
    {},
    {
      hospital: 2,
      finalityDepth: DEPTH,
      chain: {
        ...{ kind: 'anvil', rpcUrl: node.ipcPath, chainId: CHAIN, contract: ledger.contract, dir, node },
        ...{ genesisHash: node.genesisHash, startBlock: ledger.startBlock, hospitals: [...hospitals] },
        ...{ relayerKeys: b.relayerKeys, registrarKey: b.registrarKey, kill: never, restart: never },
        stop: () => node.stop(),
      },
    },
  );
  const relayerKey = a.relayerKeys[0] as Buffer;
  const target = { rpcUrl: node.ipcPath, chainId: CHAIN, contract: ledger.contract, relayerKey };
  other = new LedgerLoad({ ...target, registrarKey: a.registrarKey, hospital: 1 });
});
afterAll(async () => {
  await other?.close();
  await bench?.stop();
  if (dir) await rm(dir, { recursive: true, force: true });
});

it('one history gives way to another: every act of the hospital that lost its own comes back once, from stored bytes', async () => {
  const submission = await bench.submission();
  const founded = await other.request<string>('evm_snapshot');
  const mine: string[] = [];
  const clinician = await bench.clinician(submission, async (_, operation) => {
    mine.push(operation.requestId.toString('hex'));
    await submission.acceptor.accept(operation);
    await poll(mirrored).toContain(mine.at(-1));
  });
  for (let each = 0; each < QUERIES; each++) {
    const query = clinician.query();
    mine.push(query.requestId.toString('hex'));
    await submission.acceptor.accept(query);
  }
  await poll(async () => (await mirrored()).length).toBe(mine.length);
  const apart = Number(await other.request<string>('eth_blockNumber'));
  const sends = async () => (await row('SELECT sum(sends)::int AS count FROM gateway.attempt')).count;
  const before = await sends();

  await other.request('evm_revert', [founded]);
  const theirs: string[] = [];
  await other.prepare(1);
  for (let each = 0; each < QUERIES; each++) {
    const [query] = other.queries(1);
    theirs.push(query!.requestId.toString('hex'));
    await other.mined([query!]);
  }
  // Longer than the one it replaces, however many of B's acts are back by now.
  await other.request('anvil_mine', [`0x${apart.toString(16)}`]);
  await poll(async () => (await row('SELECT count(*)::int AS count FROM mirror.reorganisation')).count).toBe(1);

  // An opening and a registration go before the other hospital's queries.
  const all = mine.length + theirs.length + 2;
  await poll(async () => (await mirrored()).length).toBe(all);
  await other.request('anvil_mine', [`0x${DEPTH.toString(16)}`]);
  for (const requestId of mine) {
    const end = await submission.outcomes.waitFor('local', Buffer.from(requestId, 'hex'), 60_000);
    expect(end?.state, requestId).toBe('confirmed');
  }
  const together = await mirrored();
  expect(together).toHaveLength(all);
  expect(new Set(together).size).toBe(all);
  expect(together).toEqual(expect.arrayContaining([...mine, ...theirs]));
  expect(await sends()).toBeGreaterThan(before);
  expect(await row('SELECT depth, beyond_finality FROM mirror.reorganisation')).toMatchObject({
    beyond_finality: false,
  });
  const orphaned = await bench.dataSource.query(
    `SELECT encode(request_id, 'hex') AS id FROM mirror.orphaned_event ORDER BY 1`,
  );
  expect(orphaned.map(({ id }: { id: string }) => id)).toEqual([...mine].sort());
});
