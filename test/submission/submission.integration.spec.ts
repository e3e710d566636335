import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { newKey } from '../../libs/chain-client/src/keys/secp256k1.js';
import { IdempotencyMismatch } from '../../libs/chain-client/src/submission/operation.types.js';
import type { Submission } from '../../libs/chain-client/src/submission/submission.js';
import { Operation } from '../../libs/contracts/src/operations.js';
import { parameters } from '../../libs/contracts/src/parameters.js';
import { type Bench, type Clinician, NETWORK, perform, startBench } from './harness.js';

describe('the write path', () => {
  let bench: Bench;
  let submission: Submission;
  let clinician: Clinician;

  beforeAll(async () => {
    bench = await startBench();
    submission = await bench.submission();
    clinician = await bench.clinician(submission);
  });
  afterAll(() => bench?.stop());

  /** Acts stay accepted. */
  const halt = () => bench.dataSource.query(`UPDATE gateway.signer SET state = 'quarantined', reason = 'TEST'`);
  const resume = () => bench.dataSource.query(`UPDATE gateway.signer SET state = 'active', reason = NULL`);

  it('brings an act from accepted to confirmed, with its transaction and event', async () => {
    const act = clinician.query();
    const { operation, replayed } = await submission.acceptor.accept(act);
    expect(replayed).toBe(false);
    const end = await submission.outcomes.waitFor(NETWORK, act.requestId, 10_000);
    expect(end).toMatchObject({ state: 'confirmed', outcome: { code: 'OK' } });
    const view = await submission.reader.byId(operation.id);
    expect(view).toMatchObject({ state: 'confirmed', event: end!.event, outcome: { code: 'OK' } });
    expect(view!.transaction).toEqual(end!.transaction);
    expect(view!.event).toMatch(/^ev_local_\d+$/);
    expect(view!.transaction!.confirmations).toBeGreaterThanOrEqual(1);
  });

  it('reports what the ledger refused as denied, with the reason', async () => {
    const recordId = Buffer.concat([Buffer.from([0, 0, 0, 1]), randomBytes(28)]);
    const look = parameters.query({ version: 1, purpose: 1, ttl: 300, basis: Buffer.alloc(32) });
    const end = await perform(
      submission,
      bench.act({ code: Operation.QUERY, recordId, parameters: look, key: clinician.key }),
    );
    expect(end).toMatchObject({ state: 'denied', outcome: { code: 'RECORD_UNKNOWN' } });
  });

  it('reports a forged signature as failed, and the acts beside it go on', async () => {
    const look = parameters.query({ version: 1, purpose: 1, ttl: 300, basis: Buffer.alloc(32) });
    const forged = bench.act({
      code: Operation.QUERY,
      recordId: clinician.recordId,
      parameters: look,
      key: clinician.key,
      forgedBy: newKey(),
    });
    const [bad, good] = await Promise.all([perform(submission, forged), perform(submission, clinician.query())]);
    expect(bad).toMatchObject({ state: 'failed', outcome: { code: 'BAD_SIGNATURE' } });
    expect(good.state).toBe('confirmed');
  });

  it('has one effect for one key, however often and at once it is repeated', async () => {
    const act = clinician.query();
    const answers = await Promise.all(Array.from({ length: 20 }, () => submission.acceptor.accept({ ...act })));
    expect(new Set(answers.map(({ operation }) => operation.id)).size).toBe(1);
    expect(answers.filter(({ replayed }) => !replayed)).toHaveLength(1);
    await submission.outcomes.waitFor(NETWORK, act.requestId, 10_000);
    const again = await submission.acceptor.accept({ ...act });
    expect(again.replayed).toBe(true);
    await expect(submission.acceptor.accept({ ...act, bodyHash: Buffer.alloc(32, 9) })).rejects.toBeInstanceOf(
      IdempotencyMismatch,
    );
    const mine = (await bench.events()).filter(({ requestId }) => requestId === act.requestId.toString('hex'));
    expect(mine).toHaveLength(1);
  });

  it('stores acts that belong together in one commit, or none of them', async () => {
    const acts = [clinician.query(), clinician.query()];
    await expect(
      submission.acceptor.acceptWith(acts, async () => {
        throw new Error('no');
      }),
    ).rejects.toThrow('no');
    expect(
      await submission.reader.byRequestIds(
        NETWORK,
        acts.map(({ requestId }) => requestId),
      ),
    ).toEqual([undefined, undefined]);
    let calls = 0;
    const store = async () => {
      calls += 1;
    };
    await submission.acceptor.acceptWith(acts, store);
    const second = await submission.acceptor.acceptWith(acts, store);
    expect(second.every(({ replayed }) => replayed)).toBe(true);
    expect(calls).toBe(1);
  });

  it('carries a crowd in few transactions, each act once, nonces without gap', async () => {
    const before: { n: number }[] = await bench.dataSource.query('SELECT count(*)::int AS n FROM gateway.transaction');
    const acts = Array.from({ length: 600 }, () => clinician.query());
    const ends = await Promise.all(acts.map((act) => perform(submission, act)));
    expect(ends.every(({ state }) => state === 'confirmed')).toBe(true);
    const counts = new Map<string, number>();
    for (const { requestId } of await bench.events()) counts.set(requestId, (counts.get(requestId) ?? 0) + 1);
    expect(acts.map(({ requestId }) => counts.get(requestId.toString('hex')))).toEqual(acts.map(() => 1));
    const transactions: { nonce: string }[] = await bench.dataSource.query(
      'SELECT nonce FROM gateway.transaction ORDER BY nonce',
    );
    expect(transactions.length - before[0]!.n).toBeLessThan(100);
    const first = Number(transactions[0]!.nonce);
    expect(transactions.map(({ nonce }) => Number(nonce))).toEqual(transactions.map((_, index) => first + index));
  });

  it('withdraws an act that waits, and none that was signed', async () => {
    await halt();
    const act = clinician.query();
    const { operation } = await submission.acceptor.accept(act);
    expect(await submission.cancel(operation.id)).toBe('cancelled');
    expect(await submission.cancel(operation.id)).toBe('cancelled');
    await resume();
    const done = clinician.query();
    const accepted = await submission.acceptor.accept(done);
    await submission.outcomes.waitFor(NETWORK, done.requestId, 10_000);
    expect(await submission.cancel(accepted.operation.id)).toBe('too-late');
    expect(await submission.cancel('op_none')).toBe('unknown');
    expect(await submission.outcomes.waitFor(NETWORK, act.requestId, 5_000)).toMatchObject({ state: 'cancelled' });
    expect((await bench.events()).some(({ requestId }) => requestId === act.requestId.toString('hex'))).toBe(false);
  });

  it('fails an act whose deadline a final block has passed', async () => {
    await halt();
    const look = parameters.query({ version: 1, purpose: 1, ttl: 300, basis: Buffer.alloc(32) });
    const late = bench.act({
      code: Operation.QUERY,
      recordId: clinician.recordId,
      parameters: look,
      key: clinician.key,
      deadline: 1_000,
    });
    const end = await perform(submission, late);
    expect(end).toMatchObject({ state: 'failed', outcome: { code: 'DEADLINE_PASSED' } });
    await resume();
  });

  it('lists a principal its operations, newest first', async () => {
    const page = await submission.reader.list({ principal: Buffer.alloc(32, 2), limit: 5 });
    expect(page).toHaveLength(5);
    const next = await submission.reader.list({ principal: Buffer.alloc(32, 2), limit: 5, before: page[4]!.ordinal });
    expect(next[0]!.ordinal).toBeLessThan(page[4]!.ordinal);
    expect(await submission.reader.list({ principal: Buffer.alloc(32, 3), limit: 5 })).toEqual([]);
  });
});
