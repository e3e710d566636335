import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type RemoteSignerOptions, remoteSigner } from '../../libs/chain-client/src/keys/remote.signer.js';
import { addressOf } from '../../libs/chain-client/src/keys/secp256k1.js';
import { localSigner } from '../../libs/chain-client/src/keys/signer.js';
import type { NewOperation } from '../../libs/chain-client/src/submission/operation.types.js';
import type { Submission } from '../../libs/chain-client/src/submission/submission.js';
import { type Answer, type SigningServer, startSigningServer } from '../stack/web3signer.js';
import { type Bench, type Clinician, eventually, HOSPITAL, NETWORK, perform, startBench } from './harness.js';
import { startWriter, type WriterJob } from './writer.job.js';

describe('a signer outside the process', () => {
  const started: Submission[] = [];
  let bench: Bench;
  let server: SigningServer;
  let clinician: Clinician;
  let remote: RemoteSignerOptions;

  beforeAll(async () => {
    bench = await startBench();
    const key = bench.chain.relayerKeys[0]!;
    server = await startSigningServer([key], bench.network.chainId);
    remote = { address: addressOf(key), url: server.url, kind: 'web3signer', timeoutMs: 2_000 };
    const submission = await external();
    clinician = await bench.clinician(submission);
    await submission.stop();
  });
  afterEach(async () => {
    server.answer = undefined;
    await Promise.all(started.splice(0).map((submission) => submission.stop()));
  });
  afterAll(async () => {
    await server?.close();
    await bench?.stop();
  });

  async function start(settings: Parameters<Bench['submission']>[0]): Promise<Submission> {
    const submission = await bench.submission(settings);
    started.push(submission);
    return submission;
  }
  const external = () => start({ signers: { [NETWORK]: [remoteSigner(remote)] } });
  const home = () => start({});
  const queries = (count: number) => Array.from({ length: count }, () => clinician.query());
  const rows = <T>(sql: string, values: unknown[] = []): Promise<T[]> => bench.dataSource.query(sql, values);
  const transactions = () =>
    rows<{ nonce: string; state: string; attempts: number }>(
      `SELECT t.nonce, t.state, (SELECT count(*)::int FROM gateway.attempt a WHERE a.transaction_id = t.id) AS attempts
       FROM gateway.transaction t ORDER BY t.nonce`,
    );
  const assigned = async () => (await transactions()).filter(({ state }) => state === 'assigned');
  const signer = async () =>
    (await rows<{ state: string; reason: string | null; next_nonce: string }>('SELECT * FROM gateway.signer'))[0]!;

  /** The oracle: every act once on chain and confirmed, nonces without gap, one attempt each. */
  async function expectEachOnce(submission: Submission, acts: NewOperation[]): Promise<void> {
    const ends = await Promise.all(acts.map((act) => perform(submission, act)));
    expect(ends.map(({ state }) => state)).toEqual(acts.map(() => 'confirmed'));
    const ids = (await bench.events()).map(({ requestId }) => requestId);
    const counts = acts.map(({ requestId }) => ids.filter((id) => id === requestId.toString('hex')).length);
    expect(counts).toEqual(acts.map(() => 1));
    const made = await transactions();
    expect(made.map(({ nonce }) => Number(nonce))).toEqual(made.map((_, index) => Number(made[0]!.nonce) + index));
    expect(made.map(({ attempts }) => attempts)).toEqual(made.map(() => 1));
  }

  it('carries a crowd in few transactions, each signed once', async () => {
    const submission = await external();
    const before = server.requests.length;
    const acts = queries(200);
    await expectEachOnce(submission, acts);
    const made = (await transactions()).length;
    expect(server.requests.length - before).toBeLessThan(60);
    expect(server.requests.length).toBe(made);
  });

  it('that is slow: its acts are accepted meanwhile, no row is locked, and no transaction is shown', async () => {
    const submission = await external();
    let answer: () => void = () => undefined;
    server.answer = (raw) => new Promise((resolve) => (answer = () => resolve(raw)));
    const act = clinician.query();
    const { operation } = await submission.acceptor.accept(act);
    await eventually('it is assigned', async () => (await assigned()).length === 1);
    const view = (await submission.reader.byId(operation.id))!;
    expect(view).toMatchObject({ state: 'accepted' });
    expect(view.transaction).toBeUndefined();
    expect(await submission.cancel(operation.id)).toBe('too-late');
    // What locks every row the write path has, without waiting.
    await rows('SELECT FROM gateway.signer FOR UPDATE NOWAIT');
    await rows('SELECT FROM gateway.transaction FOR UPDATE NOWAIT');
    await rows('SELECT FROM gateway.operation FOR UPDATE NOWAIT');
    server.answer = undefined;
    answer();
    await expectEachOnce(submission, [act]);
  });

  it('that is away, or refuses: acts wait under their nonces, and the reason is told', async () => {
    const submission = await external();
    server.answer = () => {
      throw new Error('Request denied');
    };
    const acts = queries(30);
    for (const act of acts) await submission.acceptor.accept(act);
    const reason = await eventually('the reason', async () => (await signer()).reason ?? undefined);
    expect(reason).toContain('Request denied');
    expect((await signer()).state).toBe('active');
    const waiting = await assigned();
    expect(waiting.length).toBeGreaterThan(0);
    const asked = server.requests.length;
    await eventually('it is asked again', async () => server.requests.length > asked + 1);
    // Asked for the same nonces all the time; nothing was assigned behind them.
    expect(await assigned()).toEqual(waiting);
    expect(bench.logged.filter(({ msg }) => /does not sign/.test(msg))).toHaveLength(1);
    server.answer = undefined;
    await expectEachOnce(submission, acts);
    expect((await signer()).reason).toBeNull();
    expect(bench.logged.some(({ msg }) => /signs again/.test(msg))).toBe(true);
  });

  it.each<[string, Answer]>([
    ['another nonce', (_, request, sign) => sign({ ...request, nonce: '0xffff' })],
    ['other calldata', (_, request, sign) => sign({ ...request, data: `${request.data}00` })],
    ['another price', (_, request, sign) => sign({ ...request, gasPrice: '0x1' })],
    ['no transaction at all', () => '0x00'],
  ])('that answers with %s is refused with an alarm, and nothing is sent', async (_, answer) => {
    const submission = await external();
    const sent = (await rows('SELECT FROM gateway.attempt')).length;
    bench.logged.length = 0;
    server.answer = answer;
    const act = clinician.query();
    await submission.acceptor.accept(act);
    const alarm = () => bench.logged.find((line) => line.alarm === true && /asked to sign/.test(line.msg));
    await eventually('the alarm', async () => alarm() !== undefined);
    await eventually('the reason', async () => /was thrown away/.test((await signer()).reason ?? ''));
    expect(await rows('SELECT FROM gateway.attempt')).toHaveLength(sent);
    expect(await assigned()).toHaveLength(1);
    server.answer = undefined;
    await expectEachOnce(submission, [act]);
  });

  it('that signs some and then no more: what lies below the first gap is sent, the rest keeps its nonces', async () => {
    const submission = await start({
      signers: { [NETWORK]: [remoteSigner(remote)] },
      limits: { resendAfterMs: 500, maxBytes: 2_000 },
    });
    const next = BigInt((await signer()).next_nonce);
    server.answer = (raw, { nonce }) => {
      if (BigInt(nonce) >= next + 2n) throw new Error('enough');
      return raw;
    };
    const acts = queries(8);
    await submission.acceptor.acceptWith(acts, async () => undefined);
    await eventually('two are signed', async () => {
      const made = (await transactions()).filter(({ nonce }) => BigInt(nonce) >= next);
      return made.length > 2 && made.every(({ state }, index) => (state === 'assigned') === index >= 2);
    });
    server.answer = undefined;
    await expectEachOnce(submission, acts);
  });

  it('whose process was taken for dead: what it signed is thrown away, the next one signs the same nonce', async () => {
    const submission = await external();
    let answer: () => void = () => undefined;
    server.answer = (raw) => new Promise((resolve) => (answer = () => resolve(raw)));
    const act = clinician.query();
    await submission.acceptor.accept(act);
    await eventually('it is assigned', async () => (await assigned()).length === 1);
    const [first] = await assigned();
    await rows('UPDATE gateway.signer SET fence = fence + 1, lease_until = NULL');
    server.answer = undefined;
    answer();
    await expectEachOnce(submission, [act]);
    expect((await transactions()).at(-1)!.nonce).toBe(first!.nonce);
    expect(bench.logged.some(({ msg }) => /Signing failed/.test(msg))).toBe(true);
  });

  const job = (acts: NewOperation[], more: Partial<WriterJob> = {}): WriterJob => ({
    ...{ databaseUrl: bench.database.gatewayUrl, queueUrl: bench.database.gatewayUrl, hospitalId: HOSPITAL },
    ...{ networks: [bench.network], relayerKeys: {}, remoteSigners: { [NETWORK]: [remote] }, acts },
    ...{ limits: { resendAfterMs: 500 }, ...more },
  });

  it.each(['after-assignment-commit', 'before-attempt-commit', 'after-attempt-commit', 'after-send'])(
    'killed %s: the next one brings every act to its end under the nonces assigned, once',
    async (failpoint) => {
      const acts = queries(25);
      expect(await startWriter(job(acts, { failpoint })).ended).toBe('SIGKILL');
      const left = await transactions();
      const unsigned = left.filter(({ state }) => state === 'assigned').length;
      expect(unsigned > 0).toBe(failpoint === 'after-assignment-commit' || failpoint === 'before-attempt-commit');
      const submission = await external();
      await eventually('what was assigned is signed', async () => (await assigned()).length === 0);
      await expectEachOnce(submission, acts);
      const kept = (await transactions()).slice(0, left.length);
      expect(kept.map(({ nonce }) => nonce)).toEqual(left.map(({ nonce }) => nonce));
    },
  );

  it('asked by two processes at once signs each transaction once', async () => {
    const before = { requests: server.requests.length, made: (await transactions()).length };
    const acts = queries(200);
    const writers = [startWriter(job(acts)), startWriter(job(acts))];
    expect(await Promise.all(writers.map(({ ended }) => ended))).toEqual([0, 0]);
    const submission = await external();
    await expectEachOnce(submission, acts);
    expect(server.requests.length - before.requests).toBe((await transactions()).length - before.made);
  });

  /** Leaves acts assigned, with nobody at work on them. */
  async function leaveAssigned(count: number): Promise<NewOperation[]> {
    const submission = await external();
    server.answer = () => {
      throw new Error('locked');
    };
    const acts = queries(count);
    for (const act of acts) await submission.acceptor.accept(act);
    await eventually('they are assigned', async () => (await assigned()).length > 0);
    await submission.stop();
    return acts;
  }

  it('whose key was brought home: the local key signs what was assigned, under the same nonces, before anything else', async () => {
    const acts = await leaveAssigned(10);
    const before = await transactions();
    const submission = await home();
    await expectEachOnce(submission, acts);
    const kept = (await transactions()).slice(0, before.length);
    expect(kept.map(({ nonce }) => nonce)).toEqual(before.map(({ nonce }) => nonce));
  });

  it('that was quarantined meanwhile and is released before the next sweep: its acts ride again', async () => {
    const submission = await external();
    server.answer = () => {
      throw new Error('locked');
    };
    const act = clinician.query();
    await submission.acceptor.accept(act);
    await eventually('it is assigned', async () => (await assigned()).length === 1);
    await rows(`UPDATE gateway.signer SET state = 'quarantined', reason = 'TEST', fence = fence + 1`);
    const [row] = await rows<{ id: number }>('SELECT id FROM gateway.signer');
    await submission.operator.release({ signerId: row!.id, inSameCommit: async () => undefined });
    server.answer = undefined;
    await expectEachOnce(submission, [act]);
  });

  it('of a database restored to before the bytes were stored: acts ride again, and what they did counts once', async () => {
    const submission = await external();
    const acts = queries(3);
    for (const act of acts) await perform(submission, act);
    await submission.stop();
    const [{ id }] = (await rows<{ id: string }>(
      `SELECT transaction_id AS id FROM gateway.attempt ORDER BY id DESC LIMIT 1`,
    )) as [{ id: string }];
    await rows('DELETE FROM gateway.attempt WHERE transaction_id = $1', [id]);
    await rows(`UPDATE gateway.transaction SET state = 'assigned' WHERE id = $1`, [id]);
    const next = await external();
    const end = await perform(next, acts.at(-1)!);
    expect(end.state).toBe('confirmed');
    expect((await signer()).state).toBe('active');
    const ids = (await bench.events()).map(({ requestId }) => requestId);
    expect(ids.filter((one) => one === acts.at(-1)!.requestId.toString('hex'))).toHaveLength(1);
  });
});

describe('a signer that is asked no more', () => {
  let bench: Bench;
  let server: SigningServer;

  beforeEach(async () => {
    bench = await startBench({ relayers: 2 });
    server = await startSigningServer([bench.chain.relayerKeys[1]!], bench.network.chainId);
  });
  afterEach(async () => {
    await server?.close();
    await bench?.stop();
  });

  const remote = () =>
    remoteSigner({ address: addressOf(bench.chain.relayerKeys[1]!), url: server.url, kind: 'web3signer' });
  const local = () => localSigner(bench.chain.relayerKeys[0]!);
  const assigned = async () =>
    (await bench.dataSource.query(`SELECT FROM gateway.transaction WHERE state = 'assigned'`)).length as number;

  /** Clinicians enough that some record falls to each signer, then a signer that is locked while both act. */
  async function lockedWhile(submission: Submission): Promise<NewOperation[]> {
    const clinicians = await Promise.all(Array.from({ length: 14 }, () => bench.clinician(submission)));
    server.answer = () => {
      throw new Error('locked');
    };
    const acts = clinicians.flatMap((one) => Array.from({ length: 4 }, () => one.query()));
    for (const act of acts) await submission.acceptor.accept(act);
    await eventually('some are assigned to it', async () => (await assigned()) > 0);
    return acts;
  }

  async function expectAllConfirmed(submission: Submission, acts: NewOperation[]): Promise<void> {
    const ends = await Promise.all(acts.map((act) => perform(submission, act)));
    expect(ends.map(({ state }) => state)).toEqual(acts.map(() => 'confirmed'));
    const ids = (await bench.events()).map(({ requestId }) => requestId);
    const counts = acts.map(({ requestId }) => ids.filter((id) => id === requestId.toString('hex')).length);
    expect(counts).toEqual(acts.map(() => 1));
  }

  it('because it was paused gives its acts to the others, and takes its share again when it goes on', async () => {
    const submission = await bench.submission({ signers: { [NETWORK]: [local(), remote()] } });
    const acts = await lockedWhile(submission);
    await bench.dataSource.query(
      `UPDATE gateway.signer SET state = 'paused', reason = 'PAUSED_BY_ADMIN', fence = fence + 1 WHERE address = $1`,
      [addressOf(bench.chain.relayerKeys[1]!)],
    );
    await expectAllConfirmed(submission, acts);
    expect(await assigned()).toBe(0);
    server.answer = undefined;
    const before = server.requests.length;
    await bench.dataSource.query(`UPDATE gateway.signer SET state = 'active', reason = NULL, fence = fence + 1`);
    const clinicians = await Promise.all(Array.from({ length: 8 }, () => bench.clinician(submission)));
    await expectAllConfirmed(
      submission,
      clinicians.map((one) => one.query()),
    );
    expect(server.requests.length).toBeGreaterThan(before);
  });

  it('because it is configured no more gives its acts to the others', async () => {
    const submission = await bench.submission({ signers: { [NETWORK]: [local(), remote()] } });
    const acts = await lockedWhile(submission);
    await submission.stop();
    const next = await bench.submission({ signers: { [NETWORK]: [local()] } });
    await expectAllConfirmed(next, acts);
    expect(await assigned()).toBe(0);
  });
});
