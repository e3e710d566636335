import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { NewOperation } from '../../libs/chain-client/src/submission/operation.types.js';
import type { Submission } from '../../libs/chain-client/src/submission/submission.js';
import { type Bench, type Clinician, eventually, HOSPITAL, NETWORK, perform, startBench } from './harness.js';
import { startWriter, type WriterJob } from './writer.job.js';

describe('a write path that is killed', () => {
  let bench: Bench;
  let clinician: Clinician;

  beforeAll(async () => {
    bench = await startBench();
    const submission = await bench.submission();
    clinician = await bench.clinician(submission);
    await submission.stop();
  });
  afterAll(() => bench?.stop());

  const job = (acts: NewOperation[], more: Partial<WriterJob> = {}): WriterJob => ({
    databaseUrl: bench.database.gatewayUrl,
    queueUrl: bench.database.gatewayUrl,
    hospitalId: HOSPITAL,
    networks: [bench.network],
    relayerKeys: { [NETWORK]: bench.chain.relayerKeys },
    limits: { resendAfterMs: 500 },
    acts,
    ...more,
  });

  /** The oracle: every act exactly once on chain, nonces without gap, every operation confirmed. */
  async function expectEachOnce(acts: NewOperation[]): Promise<void> {
    const counts = new Map<string, number>();
    for (const { requestId } of await bench.events()) counts.set(requestId, (counts.get(requestId) ?? 0) + 1);
    expect(acts.map(({ requestId }) => counts.get(requestId.toString('hex')) ?? 0)).toEqual(acts.map(() => 1));
    const rows: { nonce: string }[] = await bench.dataSource.query(
      'SELECT nonce FROM gateway.transaction ORDER BY nonce',
    );
    const nonces = rows.map(({ nonce }) => Number(nonce));
    expect(nonces).toEqual(nonces.map((_, index) => nonces[0]! + index));
  }

  async function finish(submission: Submission, acts: NewOperation[]): Promise<void> {
    const ends = await Promise.all(acts.map((act) => perform(submission, act)));
    expect(ends.map(({ state }) => state)).toEqual(acts.map(() => 'confirmed'));
    await expectEachOnce(acts);
  }

  it.each([
    'before-accept-commit',
    'after-accept-commit',
    'before-attempt-commit',
    'after-attempt-commit',
    'after-send',
    'after-sent-recorded',
  ])('%s: the next one brings every act to its end, once', async (failpoint) => {
    const acts = Array.from({ length: 25 }, () => clinician.query());
    expect(await startWriter(job(acts, { failpoint })).ended).toBe('SIGKILL');
    const submission = await bench.submission();
    await finish(submission, acts);
    await submission.stop();
  });

  it('two at once share the work without doing any of it twice', async () => {
    const acts = Array.from({ length: 200 }, () => clinician.query());
    const writers = [startWriter(job(acts)), startWriter(job(acts))];
    expect(await Promise.all(writers.map(({ ended }) => ended))).toEqual([0, 0]);
    await expectEachOnce(acts);
  });

  it('one of two is killed in the middle: the other carries on', async () => {
    const acts = Array.from({ length: 300 }, () => clinician.query());
    const writers = [startWriter(job(acts)), startWriter(job(acts, { failpoint: 'after-attempt-commit' }))];
    const ended = await Promise.all(writers.map((writer) => writer.ended));
    expect(ended[0]).toBe(0);
    expect(['SIGKILL', 0]).toContain(ended[1]);
    await expectEachOnce(acts);
  });

  it('a node that lost its pool gets the same bytes again', async () => {
    const submission = await bench.submission();
    await bench.chain.kill();
    const acts = Array.from({ length: 30 }, () => clinician.query());
    for (const act of acts) await submission.acceptor.accept(act);
    await eventually('all acts are signed', async () => {
      const [row]: { n: number }[] = await bench.dataSource.query(
        `SELECT count(*)::int AS n FROM gateway.operation WHERE phase = 'signed' AND request_id = ANY($1)`,
        [acts.map(({ requestId }) => requestId)],
      );
      return row!.n > 0;
    });
    await bench.chain.restart();
    await finish(submission, acts);
    await submission.stop();
  });

  it('the same key with another body is refused after a restart too', async () => {
    const act = clinician.query();
    expect(await startWriter(job([act])).ended).toBe(0);
    const submission = await bench.submission();
    const other = submission.acceptor.accept({ ...act, bodyHash: Buffer.alloc(32, 7) });
    await expect(other).rejects.toMatchObject({ name: 'IdempotencyMismatch' });
    await submission.stop();
  });
});
