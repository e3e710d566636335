import pg from 'pg';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { localSigner } from '../../libs/chain-client/src/keys/signer.js';
import { type Direct, DirectSigning } from '../../libs/chain-client/src/submission/direct.js';
import { newOperationId } from '../../libs/chain-client/src/submission/operation.id.js';
import { registerSigners } from '../../libs/chain-client/src/submission/signer.state.js';
import { openNetwork, type SubmissionNetwork } from '../../libs/chain-client/src/submission/submission.network.js';
import { Operation } from '../../libs/contracts/src/operations.js';
import { type Bench, startBench } from './harness.js';

let bench: Bench;
let network: SubmissionNetwork;
let other: pg.Client;
let signed = 0;
/** What two processes with one key do. */
let both: DirectSigning[];

beforeAll(async () => {
  bench = await startBench();
  const signer = localSigner(bench.chain.relayerKeys[0]!);
  const counting: typeof signer = {
    ...signer,
    sign: (transaction) => {
      signed += 1;
      return signer.sign(transaction);
    },
  };
  network = openNetwork(bench.network, [counting], { maxInFlight: 100 });
  await registerSigners(bench.dataSource, network);
  both = [0, 1].map(() => new DirectSigning(bench.dataSource, network, counting, () => undefined));
  other = new pg.Client({ connectionString: bench.database.superuserUrl });
  await other.connect();
});
afterAll(async () => {
  vi.restoreAllMocks();
  await other?.end();
  await network?.reader.rpc.close();
  await bench?.stop();
});

const act = () => {
  const operation = bench.act({ code: Operation.QUERY, parameters: Buffer.alloc(32), key: bench.chain.registrarKey });
  return { ...operation, id: newOperationId() };
};
const store = async (direct: DirectSigning) => (await direct.acceptAndSign([act()])) as Direct;
const nonces = (stored: Direct[]) => stored.map(({ attempts }) => attempts[0]?.nonce);

it('two that overtook each other wait for each other, and sign nothing in vain', async () => {
  vi.spyOn(performance, 'now').mockReturnValue(1_000); // what was just seen stays just seen
  const [a, b] = both as [DirectSigning, DirectSigning];
  expect(nonces([await store(a), await store(b)])).toEqual([0n, 1n]);
  expect(both.map(({ shared }) => shared)).toEqual([false, false]);
  expect(nonces([await store(a), await store(b)])).toEqual([2n, 3n]);
  expect(both.map(({ shared }) => shared)).toEqual([true, true]);
  expect(signed).toBe(6); // four, and one each that was overtaken

  await other.query('BEGIN');
  await other.query('SELECT FROM gateway.signer FOR UPDATE');
  const storing = Promise.all(both.map(store));
  const waiting = async () => {
    const [row] = await bench.dataSource.query(
      `SELECT count(*)::int AS n FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
    );
    return row.n as number;
  };
  await expect.poll(waiting, { interval: 10, timeout: 4_000 }).toBe(2);
  expect(signed).toBe(6);
  await other.query('COMMIT');
  expect(nonces(await storing).sort()).toEqual([4n, 5n]);
  expect(signed).toBe(8);
});

it('one that stalls in its turn holds up the others for a second, not for as long as it stalls', async () => {
  await other.query('BEGIN');
  await other.query('SELECT FROM gateway.signer FOR UPDATE');
  // The acts are accepted the usual way then (see `isRefusal` in worker.ts), which locks no signer.
  const given = await Promise.allSettled(both.map((direct) => direct.acceptAndSign([act()])));
  expect(given).toEqual(both.map(() => ({ status: 'rejected', reason: expect.objectContaining({ code: '55P03' }) })));
  await other.query('COMMIT');
  expect(signed).toBe(8);
  expect(nonces([await store(both[0]!)])).toEqual([6n]);
});
