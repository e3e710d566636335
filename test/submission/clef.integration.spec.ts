import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type RemoteSignerOptions, remoteSigner } from '../../libs/chain-client/src/keys/remote.signer.js';
import { addressOf, newKey } from '../../libs/chain-client/src/keys/secp256k1.js';
import { localSigner } from '../../libs/chain-client/src/keys/signer.js';
import type { NewOperation } from '../../libs/chain-client/src/submission/operation.types.js';
import type { Submission } from '../../libs/chain-client/src/submission/submission.js';
import { approving, refusing, startClef, type TestClef, testClef } from '../stack/clef.js';
import { type Bench, type Clinician, eventually, HOSPITAL, NETWORK, perform, startBench } from './harness.js';
import { startWriter } from './writer.job.js';

const binary = await testClef();

describe.skipIf(binary === undefined)('a real clef', () => {
  const started: Submission[] = [];
  let bench: Bench;
  let clef: TestClef;
  let clinicians: Clinician[];
  let remote: RemoteSignerOptions;

  beforeAll(async () => {
    bench = await startBench({ relayers: 2 });
    const key = bench.chain.relayerKeys[1]!;
    const { chainId } = bench.network;
    clef = await startClef(binary!, { keys: [key], chainId, rules: approving(bench.chain.contract) });
    remote = { address: addressOf(key), url: clef.url, kind: 'clef', timeoutMs: 2_000 };
    const submission = await start();
    clinicians = await Promise.all(Array.from({ length: 8 }, () => bench.clinician(submission)));
    await submission.stop();
  });
  afterEach(async () => {
    await Promise.all(started.splice(0).map((submission) => submission.stop()));
  });
  afterAll(async () => {
    await clef?.stop();
    await bench?.stop();
  });

  async function start(options = remote, beside = false): Promise<Submission> {
    const local = beside ? [localSigner(bench.chain.relayerKeys[0]!)] : [];
    const submission = await bench.submission({ signers: { [NETWORK]: [...local, remoteSigner(options)] } });
    started.push(submission);
    return submission;
  }
  const queries = (count: number) => Array.from({ length: count }, (_, index) => clinicians[index % 8]!.query());
  const signer = async () => {
    const rows: { state: string; reason: string | null }[] = await bench.dataSource.query(
      'SELECT state, reason FROM gateway.signer WHERE address = $1',
      [remote.address],
    );
    return rows[0]!;
  };

  async function expectEachOnce(submission: Submission, acts: NewOperation[]): Promise<void> {
    const ends = await Promise.all(acts.map((act) => perform(submission, act)));
    expect(ends.map(({ state }) => state)).toEqual(acts.map(() => 'confirmed'));
    const ids = (await bench.events()).map(({ requestId }) => requestId);
    const counts = acts.map(({ requestId }) => ids.filter((id) => id === requestId.toString('hex')).length);
    expect(counts).toEqual(acts.map(() => 1));
  }

  it('signs what its rules approve, full batches too', async () => {
    const submission = await start();
    const acts = queries(400);
    await submission.acceptor.acceptWith(acts, async () => undefined);
    await expectEachOnce(submission, acts);
    const [largest]: { n: number }[] = await bench.dataSource.query(
      'SELECT max(length(raw)) AS n FROM gateway.attempt',
    );
    expect(largest!.n).toBeGreaterThan(100_000);
  });

  it('signs over its socket as well', async () => {
    const submission = await start({ ...remote, url: clef.ipc });
    await expectEachOnce(submission, queries(20));
  });

  it('signs beside a keystore of the same hospital', async () => {
    const submission = await start(remote, true);
    await expectEachOnce(submission, queries(100));
    const rows: { n: number }[] = await bench.dataSource.query(
      'SELECT count(*)::int AS n FROM gateway.transaction GROUP BY signer_id',
    );
    expect(rows).toHaveLength(2);
  });

  it('that was killed is waited for', async () => {
    const submission = await start();
    await clef.kill();
    const acts = queries(20);
    for (const act of acts) await submission.acceptor.accept(act);
    await eventually('the reason', async () => /ECONNREFUSED/.test((await signer()).reason ?? ''));
    await clef.restart();
    await expectEachOnce(submission, acts);
    expect((await signer()).reason).toBeNull();
  });

  it('whose rules refuse is asked again until they approve', async () => {
    await clef.restart(refusing);
    const submission = await start();
    const acts = queries(20);
    for (const act of acts) await submission.acceptor.accept(act);
    await eventually('the reason', async () => /denied/i.test((await signer()).reason ?? ''));
    await clef.restart();
    await expectEachOnce(submission, acts);
  });

  it('does not sign for another chain, nor for an account it does not hold', async () => {
    const transaction = {
      ...{ chainId: bench.network.chainId + 1n, nonce: 0n, gasPrice: 0n, gasLimit: 21_000n },
      ...{ to: bench.network.contract, data: Buffer.alloc(0) },
    };
    const same = remoteSigner(remote);
    await expect(same.sign(transaction)).rejects.toThrow(/chainid/);
    const other = remoteSigner({ ...remote, address: addressOf(newKey()) });
    await expect(other.sign({ ...transaction, chainId: bench.network.chainId })).rejects.toThrow(/unknown account/);
    await Promise.all([same.close(), other.close()]);
  });

  it('that waits for a person to type a password is given up on, and nothing is lost', async () => {
    const locked = await startClef(binary!, {
      ...{ keys: [bench.chain.relayerKeys[1]!], chainId: bench.network.chainId },
      ...{ rules: approving(bench.chain.contract), unlocked: false },
    });
    try {
      const submission = await start({ ...remote, url: locked.url, timeoutMs: 300 });
      const act = clinicians[0]!.query();
      await submission.acceptor.accept(act);
      await eventually('the reason', async () => /within 300 ms/.test((await signer()).reason ?? ''));
      await submission.stop();
      await expectEachOnce(await start(), [act]);
    } finally {
      await locked.stop();
    }
  });

  it.each(['after-assignment-commit', 'before-attempt-commit'])(
    'killed %s: the next process has it sign again, under the same nonces',
    async (failpoint) => {
      const acts = queries(25);
      const writer = startWriter({
        ...{ databaseUrl: bench.database.gatewayUrl, queueUrl: bench.database.gatewayUrl, hospitalId: HOSPITAL },
        ...{ networks: [bench.network], relayerKeys: {}, remoteSigners: { [NETWORK]: [remote] }, acts, failpoint },
      });
      expect(await writer.ended).toBe('SIGKILL');
      const left: { id: string; nonce: string }[] = await bench.dataSource.query(
        `SELECT id, nonce FROM gateway.transaction WHERE state = 'assigned' ORDER BY nonce`,
      );
      expect(left.length).toBeGreaterThan(0);
      await expectEachOnce(await start(), acts);
      const kept = await bench.dataSource.query(
        `SELECT t.id, t.nonce FROM gateway.transaction t JOIN gateway.attempt a ON a.transaction_id = t.id
         WHERE t.id = ANY($1) ORDER BY t.nonce`,
        [left.map(({ id }) => id)],
      );
      expect(kept).toEqual(left);
    },
  );
});
