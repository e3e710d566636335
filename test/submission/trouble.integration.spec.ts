import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { addressOf, newKey } from '../../libs/chain-client/src/keys/secp256k1.js';
import { signLegacyTransaction } from '../../libs/chain-client/src/keys/transaction.js';
import { ChainReader } from '../../libs/chain-client/src/rpc/reader.js';
import { connectRpc } from '../../libs/chain-client/src/rpc/transport.js';
import type { Submission } from '../../libs/chain-client/src/submission/submission.js';
import { encodeExecute } from '../../libs/contracts/src/intent.codec.js';
import { transactionGas } from '../../libs/contracts/src/operations.js';
import { type Bench, type Clinician, eventually, NETWORK, perform, startBench } from './harness.js';

describe('a signer in trouble', () => {
  let bench: Bench;
  let submission: Submission;
  let clinician: Clinician;
  let node: ChainReader;

  beforeEach(async () => {
    bench = await startBench();
    submission = await bench.submission();
    clinician = await bench.clinician(submission);
    node = new ChainReader(connectRpc(bench.chain.rpcUrl));
  });
  afterEach(async () => {
    await node?.rpc.close();
    await bench?.stop();
  });

  const signer = async () => {
    const rows: { state: string; reason: string | null; next_nonce: string }[] = await bench.dataSource.query(
      'SELECT state, reason, next_nonce FROM gateway.signer',
    );
    return rows[0]!;
  };

  async function sendElsewhere(to: Buffer, data: Buffer, gasLimit: bigint): Promise<void> {
    const nonce = BigInt((await signer()).next_nonce);
    const key = bench.chain.relayerKeys[0]!;
    const { raw } = signLegacyTransaction(
      { chainId: bench.network.chainId, nonce, gasPrice: 0n, gasLimit, to, data },
      key,
    );
    const [outcome] = await node.sendRaw([raw]);
    expect(outcome!.error).toBeUndefined();
  }

  it('is quarantined when its key sends an act of somebody else to the ledger', async () => {
    const act = clinician.query();
    const intents = [{ ...act, operation: act.code }];
    await sendElsewhere(bench.network.contract, encodeExecute(intents), BigInt(transactionGas(intents)));
    const state = await eventually('quarantine', async () => {
      const row = await signer();
      return row.state === 'quarantined' && row;
    });
    expect(state.reason).toMatch(/^FOREIGN_NONCE \d+ 0x[0-9a-f]{64}$/);
    expect(bench.logged.some(({ alarm, msg }) => alarm === true && /quarantined/.test(msg))).toBe(true);
    // Accepted all the same, and left waiting: nothing is resynchronised silently.
    const { operation } = await submission.acceptor.accept(clinician.query());
    await submission.sweeper.sweep();
    expect((await submission.reader.byId(operation.id))!.state).toBe('accepted');
  });

  it('is quarantined when its key sends something that is no act at all', async () => {
    await sendElsewhere(addressOf(newKey()), Buffer.alloc(0), 21_000n);
    const { operation } = await submission.acceptor.accept(clinician.query());
    await eventually('quarantine', async () => (await signer()).state === 'quarantined');
    expect((await submission.reader.byId(operation.id))!.state).toBe('signed');
  });

  it('of a restored database takes its nonce over from the chain, and repeated acts have no second effect', async () => {
    const kept = [clinician.query(), clinician.query()];
    const lost = Array.from({ length: 5 }, () => clinician.query());
    for (const act of kept) await perform(submission, act);
    const { next_nonce: nonce } = await signer();
    for (const act of lost) await perform(submission, act);
    await submission.stop();
    await bench.dataSource.query(
      `WITH gone AS (SELECT id FROM gateway.transaction WHERE nonce >= $1),
         rides AS (DELETE FROM gateway.transaction_operation r USING gone WHERE r.transaction_id = gone.id RETURNING operation_ordinal),
         attempts AS (DELETE FROM gateway.attempt a USING gone WHERE a.transaction_id = gone.id),
         moved AS (UPDATE gateway.signer SET next_nonce = $1)
       SELECT array_agg(operation_ordinal) AS ordinals FROM rides`,
      [nonce],
    );
    await bench.dataSource.query('DELETE FROM gateway.transaction WHERE nonce >= $1', [nonce]);
    await bench.dataSource.query('DELETE FROM gateway.operation WHERE request_id = ANY($1)', [
      lost.map(({ requestId }) => requestId),
    ]);

    const events = (await bench.events()).length;
    const next = await bench.submission();
    const ends = await Promise.all(lost.map((act) => perform(next, act)));
    expect(ends.map(({ state }) => state)).toEqual(lost.map(() => 'confirmed'));
    expect((await bench.events()).length).toBe(events);
    expect((await signer()).state).toBe('active');
    // Another act under a key of then is told from a repeat by the ledger.
    await bench.dataSource.query('UPDATE gateway.operation SET request_id = $2 WHERE request_id = $1', [
      kept[0]!.requestId,
      randomBytes(32),
    ]);
    const { code, parameters, requestId } = kept[0]!;
    const recordId = Buffer.concat([clinician.recordId.subarray(0, 4), randomBytes(28)]);
    const other = bench.act({ code, recordId, parameters, key: clinician.key, requestId });
    expect(await perform(next, other)).toMatchObject({ state: 'failed', outcome: { code: 'MISMATCH' } });
  });

  it('has the acts of a reverted transaction ride again in halves, each with one effect', async () => {
    // The mirror is made to say that a batch reverted; on the chain its acts were carried out, so what rides again are duplicates.
    await bench.stopMirror();
    const acts = Array.from({ length: 8 }, () => clinician.query());
    await submission.acceptor.acceptWith(acts, async () => undefined);
    const riding = () =>
      bench.dataSource.query(
        `SELECT t.nonce, count(*)::int AS acts FROM gateway.transaction t
         JOIN gateway.transaction_operation r ON r.transaction_id = t.id
         JOIN gateway.operation o ON o.ordinal = r.operation_ordinal WHERE o.request_id = ANY($1)
         GROUP BY t.nonce ORDER BY t.nonce`,
        [acts.map(({ requestId }) => requestId)],
      ) as Promise<{ nonce: string; acts: number }[]>;
    await eventually('the batch is signed', async () => (await riding()).length === 1);
    await bench.asMirror(`INSERT INTO mirror.relayer SELECT $1, $2, 1, true ON CONFLICT DO NOTHING`, [
      NETWORK,
      addressOf(bench.chain.relayerKeys[0]!),
    ]);
    await bench.asMirror(
      `INSERT INTO mirror.inclusion (network, transaction_hash, block_number, block_hash, transaction_index, sender, nonce, status, gas_used)
       SELECT $1, a.hash, c.final_number, c.hash, 1, s.address, t.nonce, 0, 21000
       FROM gateway.attempt a JOIN gateway.transaction t ON t.id = a.transaction_id JOIN gateway.signer s ON s.id = t.signer_id,
         mirror.cursor c WHERE t.nonce = $2 AND c.network = $1`,
      [NETWORK, (await riding())[0]!.nonce],
    );
    await eventually('the halves are signed', async () => (await riding()).length === 3);
    expect((await riding()).map((row) => row.acts)).toEqual([8, 4, 4]);
    await bench.asMirror('DELETE FROM mirror.inclusion WHERE status = 0', []);
    bench.startMirror();
    const ends = await Promise.all(acts.map((act) => submission.outcomes.waitFor(NETWORK, act.requestId, 10_000)));
    expect(ends.map((end) => end?.state)).toEqual(acts.map(() => 'confirmed'));
    const ids = (await bench.events()).map(({ requestId }) => requestId);
    expect(acts.map(({ requestId }) => ids.filter((id) => id === requestId.toString('hex')).length)).toEqual(
      acts.map(() => 1),
    );
  });

  it('assigns nothing while its node is behind the mirror', async () => {
    await bench.asMirror('UPDATE mirror.cursor SET number = number + 1000000 WHERE network = $1', [NETWORK]);
    await bench.stopMirror();
    await eventually('assigning stops', async () => !submission.networks[0]!.assigning);
    const { operation } = await submission.acceptor.accept(clinician.query());
    await submission.sweeper.sweep();
    expect((await submission.reader.byId(operation.id))!.state).toBe('accepted');
    await bench.asMirror('UPDATE mirror.cursor SET number = number - 1000000 WHERE network = $1', [NETWORK]);
    bench.startMirror();
    const end = await submission.outcomes.waitFor(NETWORK, operation.requestId, 10_000);
    expect(end?.state).toBe('confirmed');
  });
});
