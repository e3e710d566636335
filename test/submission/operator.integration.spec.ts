import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { ipcCall } from '../../deploy/geth/ipc.js';
import { addressOf, newKey } from '../../libs/chain-client/src/keys/secp256k1.js';
import { localSigner } from '../../libs/chain-client/src/keys/signer.js';
import { signLegacyTransaction } from '../../libs/chain-client/src/keys/transaction.js';
import { ChainReader } from '../../libs/chain-client/src/rpc/reader.js';
import { connectRpc } from '../../libs/chain-client/src/rpc/transport.js';
import type { NewOperation } from '../../libs/chain-client/src/submission/operation.types.js';
import type { ReplacementRequest } from '../../libs/chain-client/src/submission/replacement.js';
import type { Submission, SubmissionSettings } from '../../libs/chain-client/src/submission/submission.js';
import { encodeExecute } from '../../libs/contracts/src/intent.codec.js';
import { transactionGas } from '../../libs/contracts/src/operations.js';
import { testGeth } from '../stack/chain.js';
import { type Bench, type Clinician, eventually, NETWORK, perform, startBench } from './harness.js';

const geth = await testGeth();

// Stopping the sealing of blocks, so that transactions stay in the pool, is something only geth can be told.
describe.skipIf(!geth)("an operator's tools", () => {
  let bench: Bench;
  let submission: Submission;
  let clinician: Clinician;
  let node: ChainReader;

  async function start(
    options: Parameters<typeof startBench>[0] & { settings?: Partial<SubmissionSettings> } = {},
  ): Promise<void> {
    const { settings, ...chain } = options;
    bench = await startBench(chain);
    submission = await bench.submission({ sweepMs: 60_000, ...settings });
    clinician = await bench.clinician(submission);
    node = new ChainReader(connectRpc(bench.chain.rpcUrl));
  }
  afterEach(async () => {
    await node?.rpc.close();
    await bench?.stop();
  });

  // A node that was just started has not unlocked its key yet, and tries a block that it couldn't sign no second time.
  const seal = (on: boolean) => (on ? bench.chain.node.startSealing() : ipcCall(bench.chain.rpcUrl, 'miner_stop'));
  /** The node comes back without its pool, also without the journal it keeps of it, and seals nothing. */
  async function losePool(): Promise<void> {
    await bench.chain.kill();
    await rm(join(bench.chain.dir, 'geth', 'transactions.rlp'), { force: true });
    await bench.chain.restart({ bootMine: false });
  }
  const signer = async () => {
    const rows = await bench.dataSource.query('SELECT id, state, reason, next_nonce FROM gateway.signer ORDER BY id');
    return rows[0] as { id: number; state: string; reason: string | null; next_nonce: string };
  };
  const attempts = async (nonce: bigint) =>
    (await bench.dataSource.query(
      `SELECT a.number, a.kind, a.gas_price, a.raw, a.hash, a.last_answer, t.state FROM gateway.attempt a
       JOIN gateway.transaction t ON t.id = a.transaction_id WHERE t.nonce = $1 ORDER BY a.number`,
      [String(nonce)],
    )) as { kind: string; gas_price: string; raw: Buffer; hash: Buffer; last_answer: string | null; state: string }[];
  const pool = async () => {
    const status = await ipcCall<{ pending: string; queued: string }>(bench.chain.rpcUrl, 'txpool_status');
    return { pending: Number(status.pending), queued: Number(status.queued) };
  };
  const written: { facts: Record<string, unknown> }[] = [];
  async function replace(request: Omit<ReplacementRequest, 'signerId' | 'inSameCommit'>, by = submission) {
    const { id } = await signer();
    return by.operator.replace({
      ...request,
      signerId: id,
      inSameCommit: async (_query, facts) => void written.push({ facts }),
    });
  }
  const release = async () =>
    submission.operator.release({ signerId: (await signer()).id, inSameCommit: async () => undefined });

  /** Acts in one transaction that lies in the pool of a node which seals nothing. */
  async function stuck(count: number): Promise<{ acts: NewOperation[]; ids: string[]; nonce: bigint }> {
    await seal(false);
    const nonce = BigInt((await signer()).next_nonce);
    const acts = Array.from({ length: count }, () => clinician.query());
    const accepted = await submission.acceptor.acceptWith(acts, async () => undefined);
    await eventually('the transaction is in the pool', async () => (await pool()).pending === 1);
    return { acts, ids: accepted.map(({ operation }) => operation.id), nonce };
  }

  /** Each act has its one event, save those that must have none. */
  async function expectEffects(acts: NewOperation[], effects: number[]): Promise<void> {
    const events = await bench.events();
    const count = (act: NewOperation) =>
      events.filter(({ requestId }) => requestId === act.requestId.toString('hex')).length;
    expect(acts.map(count)).toEqual(effects);
  }
  const endOf = (act: NewOperation) => submission.outcomes.waitFor(NETWORK, act.requestId, 10_000);

  it('a NOOP that is mined cancels the act it was asked for, and the others of its batch ride again', async () => {
    await start({ funded: true });
    const { acts, ids, nonce } = await stuck(3);
    expect(await replace({ kind: 'noop', nonce, withdraw: [ids[1]!] })).toEqual({ made: true });
    expect(await attempts(nonce)).toMatchObject([
      { kind: 'first', gas_price: '0', last_answer: null },
      { kind: 'noop', gas_price: '1', last_answer: null },
    ]);
    expect((await submission.reader.byId(ids[0]!))!.state).toBe('submitted');
    // Asked again, it is the same attempt.
    expect(await replace({ kind: 'noop', nonce })).toEqual({ made: false });
    await expect(replace({ kind: 'bump', nonce })).rejects.toMatchObject({ code: 'NOOP_IS_OUT' });
    expect(await attempts(nonce)).toHaveLength(2);
    expect(await pool()).toEqual({ pending: 1, queued: 0 });

    await seal(true);
    const ends = await Promise.all(acts.map(endOf));
    expect(ends.map((end) => end?.state)).toEqual(['confirmed', 'cancelled', 'confirmed']);
    await expectEffects(acts, [1, 0, 1]);
    expect((await attempts(nonce))[0]!.state).toBe('noop');
    expect(await signer()).toMatchObject({ state: 'active', next_nonce: String(nonce + 2n) });
    await expect(replace({ kind: 'noop', nonce })).rejects.toMatchObject({ code: 'ALREADY_MINED' });
    await expect(replace({ kind: 'noop', nonce: nonce + 9n })).rejects.toMatchObject({ code: 'UNKNOWN_NONCE' });
    expect(await submission.cancel(ids[0]!)).toBe('too-late');
  });

  it('a NOOP that comes too late changes nothing: the act was mined, and is not cancelled', async () => {
    await start({ funded: true });
    const { acts, ids, nonce } = await stuck(2);
    await replace({ kind: 'noop', nonce, withdraw: [ids[0]!] });
    const [first] = await attempts(nonce);
    // The node forgets its pool, and it is the first attempt that reaches it now.
    await losePool();
    expect((await node.sendRaw([first!.raw]))[0]!.error).toBeUndefined();
    await seal(true);
    expect((await Promise.all(acts.map(endOf))).map((end) => end?.state)).toEqual(['confirmed', 'confirmed']);
    await submission.sweeper.sweep(true);
    expect((await attempts(nonce))[0]!.state).toBe('final');
    await expectEffects(acts, [1, 1]);
  });

  it('a bump is the same content at a higher price; it and what it replaces are both known, whichever is mined', async () => {
    await start({ funded: true });
    const one = await stuck(2);
    expect(await replace({ kind: 'bump', nonce: one.nonce })).toEqual({ made: true });
    await expect(replace({ kind: 'bump', nonce: one.nonce, gasPrice: 1_0n })).resolves.toEqual({ made: true });
    expect(await replace({ kind: 'bump', nonce: one.nonce, gasPrice: 10n })).toEqual({ made: false });
    await expect(replace({ kind: 'bump', nonce: one.nonce, gasPrice: 9n })).rejects.toMatchObject({
      code: 'PRICE_TOO_LOW',
    });
    const [first, second, third] = await attempts(one.nonce);
    expect([first, second, third]).toMatchObject([{ gas_price: '0' }, { gas_price: '1' }, { gas_price: '10' }]);
    // The last one is in the pool, the ones before gave way to it.
    expect(await node.known([first!.hash, second!.hash, third!.hash])).toEqual(['unknown', 'unknown', 'pending']);
    await seal(true);
    expect((await Promise.all(one.acts.map(endOf))).map((end) => end?.state)).toEqual(['confirmed', 'confirmed']);
    const view = await submission.reader.byId(one.ids[0]!);
    expect(view!.transaction!.hash).toEqual(third!.hash);

    const two = await stuck(1);
    await replace({ kind: 'bump', nonce: two.nonce });
    const [original] = await attempts(two.nonce);
    await losePool();
    expect((await node.sendRaw([original!.raw]))[0]!.error).toBeUndefined();
    await seal(true);
    expect((await endOf(two.acts[0]!))!.transaction!.hash).toEqual(original!.hash);
    await expectEffects([...one.acts, ...two.acts], [1, 1, 1]);
  });

  it('two who ask for the same thing at once make one attempt of it', async () => {
    await start({ funded: true });
    const other = await bench.submission({ worker: false });
    const { acts, nonce } = await stuck(1);
    const bumps = await Promise.allSettled([
      replace({ kind: 'bump', nonce, gasPrice: 5n }),
      replace({ kind: 'bump', nonce, gasPrice: 5n }, other),
    ]);
    // Either the second saw the first one's attempt, or it was told that something changed.
    for (const bump of bumps) {
      if (bump.status === 'rejected') expect(bump.reason).toMatchObject({ code: 'CHANGED_MEANWHILE' });
    }
    expect((await attempts(nonce)).map(({ kind }) => kind)).toEqual(['first', 'bump']);
    const noops = await Promise.all([replace({ kind: 'noop', nonce }), replace({ kind: 'noop', nonce }, other)]);
    expect(noops.filter(({ made }) => made)).toHaveLength(1);
    expect((await attempts(nonce)).map(({ kind, gas_price }) => [kind, gas_price])).toEqual([
      ['first', '0'],
      ['bump', '5'],
      ['noop', '6'],
    ]);
    await seal(true);
    // Whichever of the two took the acts back, the one that signs finds them.
    await eventually('the NOOP is final', async () => (await attempts(nonce))[0]!.state === 'noop');
    await submission.sweeper.sweep();
    expect((await endOf(acts[0]!))!.state).toBe('confirmed');
    await expectEffects(acts, [1]);
  });

  it('where nobody has funds, a NOOP waits until the pool no longer holds what it replaces', async () => {
    await start();
    const { acts, ids, nonce } = await stuck(2);
    await expect(replace({ kind: 'noop', nonce })).rejects.toMatchObject({ code: 'CANNOT_PAY' });
    await expect(replace({ kind: 'bump', nonce })).rejects.toMatchObject({ code: 'CANNOT_PAY' });
    await losePool();
    await expect(replace({ kind: 'bump', nonce })).rejects.toMatchObject({ code: 'NOTHING_TO_REPLACE' });
    expect(await attempts(nonce)).toHaveLength(1);
    expect(await replace({ kind: 'noop', nonce, withdraw: ids })).toEqual({ made: true });
    expect(await attempts(nonce)).toMatchObject([
      { gas_price: '0' },
      { kind: 'noop', gas_price: '0', last_answer: null },
    ]);
    // The sweeper leaves it at that: one of the attempts is with the node.
    await submission.sweeper.sweep(true);
    expect(submission.rescues.get(NETWORK)).toBe(0);
    await seal(true);
    expect((await Promise.all(acts.map(endOf))).map((end) => end?.state)).toEqual(['cancelled', 'cancelled']);
    expect((await perform(submission, clinician.query())).state).toBe('confirmed');
    await expectEffects(acts, [0, 0]);
  });

  it('a NOOP frees the line behind bytes that the node will never take, and the paused signer goes on', async () => {
    await start();
    const { acts, nonce } = await stuck(2);
    await losePool();
    // As after a chain whose blocks became smaller than what was signed for them.
    const transaction = { nonce, gasPrice: 0n, to: bench.network.contract, data: Buffer.alloc(0) };
    const { raw, hash } = signLegacyTransaction(
      { ...transaction, chainId: bench.network.chainId, gasLimit: 100_000_000n },
      bench.chain.relayerKeys[0]!,
    );
    await bench.dataSource.query(
      `UPDATE gateway.attempt a SET raw = $2, hash = $3 FROM gateway.transaction t WHERE t.id = a.transaction_id AND t.nonce = $1`,
      [String(nonce), raw, hash],
    );
    await bench.dataSource.query(`UPDATE gateway.transaction SET state = 'signed' WHERE nonce = $1`, [String(nonce)]);
    await submission.sweeper.sweep(true);
    expect(await signer()).toMatchObject({
      state: 'paused',
      reason: expect.stringContaining('exceeds block gas limit'),
    });
    expect(await replace({ kind: 'noop', nonce })).toEqual({ made: true });
    await submission.sweeper.sweep(true);
    expect(await signer()).toMatchObject({ state: 'active', reason: null });
    await seal(true);
    expect((await Promise.all(acts.map(endOf))).map((end) => end?.state)).toEqual(['confirmed', 'confirmed']);
    await expectEffects(acts, [1, 1]);
  });

  it('a NOOP the node lost is sent again, and the sweeper counts it', async () => {
    await start({ funded: true });
    const { acts, nonce } = await stuck(1);
    await replace({ kind: 'noop', nonce });
    await losePool();
    await submission.sweeper.sweep(true);
    expect(submission.rescues.get(NETWORK)).toBe(1);
    const [first, noop] = await attempts(nonce);
    expect(await node.known([first!.hash, noop!.hash])).toEqual(['unknown', 'pending']);
    await seal(true);
    expect((await endOf(acts[0]!))!.state).toBe('confirmed');
    await expectEffects(acts, [1]);
  });

  it('the sweeper offers more by itself where blocks ask more than a transaction offers, and only there', async () => {
    const londonBlock = 24n;
    await start({ funded: true, londonBlock: Number(londonBlock), settings: { sweepMs: 200 } });
    const kinds = async () => {
      const rows: { kind: string }[] = await bench.dataSource.query('SELECT DISTINCT kind FROM gateway.attempt');
      return rows.map(({ kind }) => kind);
    };
    while ((await node.blockNumber()) < londonBlock - 1n) await perform(submission, clinician.query());
    expect(await node.nextBaseFee()).toBeGreaterThan(0n);
    expect(await kinds()).toEqual(['first']);
    const nonce = BigInt((await signer()).next_nonce);
    const acts = [clinician.query(), clinician.query()];
    await submission.acceptor.acceptWith(acts, async () => undefined);
    const ends = await Promise.all(acts.map(endOf));
    expect(ends.map((end) => end?.state)).toEqual(['confirmed', 'confirmed']);
    const [first, bump] = await attempts(nonce);
    expect([first, bump]).toMatchObject([{ gas_price: '0' }, { kind: 'bump', gas_price: '2000000000' }]);
    expect(ends[0]!.transaction!.hash).toEqual(bump!.hash);
    await expectEffects(acts, [1, 1]);
  });

  it('withdraws only what rides in the transaction, and nothing when one of them does not', async () => {
    await start({ funded: true });
    const { acts, ids, nonce } = await stuck(1);
    const strange = `op_${'0'.repeat(32)}`;
    await expect(replace({ kind: 'noop', nonce, withdraw: [ids[0]!, strange] })).rejects.toMatchObject({
      code: 'NOT_RIDING',
    });
    expect(await attempts(nonce)).toHaveLength(1);
    await seal(true);
    expect((await endOf(acts[0]!))!.state).toBe('confirmed');
  });

  describe('releasing a quarantined signer', () => {
    async function sendElsewhere(
      to: Buffer,
      data: Buffer,
      gasLimit: bigint,
      nonce: bigint,
      key?: Buffer,
    ): Promise<void> {
      const transaction = { chainId: bench.network.chainId, nonce, gasPrice: 0n, gasLimit, to, data };
      const { raw } = signLegacyTransaction(transaction, key ?? bench.chain.relayerKeys[0]!);
      const [outcome] = await node.sendRaw([raw]);
      expect(outcome!.error).toBeUndefined();
    }
    const quarantined = () =>
      eventually('quarantine', async () => {
        const rows = await bench.dataSource.query(`SELECT FROM gateway.signer WHERE state = 'quarantined'`);
        return rows.length > 0;
      });

    it('gives acts whose nonces others used back, each with one effect, and follows the chain', async () => {
      await start({ settings: { sweepMs: 200 } });
      await expect(release()).rejects.toMatchObject({ code: 'NOT_QUARANTINED' });
      const nonce = BigInt((await signer()).next_nonce);
      const stranger = addressOf(newKey());
      // Three nonces are used elsewhere; ours are bound to the first of them, one after the other refused by the node.
      for (let index = 0n; index < 3n; index++) await sendElsewhere(stranger, Buffer.alloc(0), 21_000n, nonce + index);
      const acts = [clinician.query(), clinician.query()];
      await submission.acceptor.acceptWith(acts, async () => undefined);
      await quarantined();
      const waiting = clinician.query();
      await submission.acceptor.accept(waiting);

      const before = await bench.dataSource.query(
        `SELECT count(*)::int AS n FROM gateway.transaction WHERE nonce >= $1`,
        [String(nonce)],
      );
      expect(before[0].n).toBeGreaterThan(0);
      const released = await release();
      expect(released).toEqual({ lost: before[0].n, returned: 2, nextNonce: nonce + 3n });
      const ends = await Promise.all([...acts, waiting].map(endOf));
      expect(ends.map((end) => end?.state)).toEqual(['confirmed', 'confirmed', 'confirmed']);
      await expectEffects([...acts, waiting], [1, 1, 1]);
      expect((await signer()).state).toBe('active');
      await submission.sweeper.sweep(true);
      await submission.sweeper.sweep(true);
      expect((await signer()).state).toBe('active');
      await expect(release()).rejects.toMatchObject({ code: 'NOT_QUARANTINED' });
    });

    it('has no second effect when the others carried out the very act', async () => {
      await start({ settings: { sweepMs: 200 } });
      const act = clinician.query();
      const intents = [{ ...act, operation: act.code }];
      const nonce = BigInt((await signer()).next_nonce);
      await sendElsewhere(bench.network.contract, encodeExecute(intents), BigInt(transactionGas(intents)) + 1n, nonce);
      await submission.acceptor.accept(act);
      await quarantined();
      await release();
      expect((await endOf(act))!.state).toBe('confirmed');
      await expectEffects([act], [1]);
      await submission.sweeper.sweep(true);
      expect((await signer()).state).toBe('active');
    });

    it('is refused while the mirror is behind the node, and while the pool holds strange transactions', async () => {
      await start({ settings: { sweepMs: 200 } });
      const nonce = BigInt((await signer()).next_nonce);
      await sendElsewhere(addressOf(newKey()), Buffer.alloc(0), 21_000n, nonce);
      const act = clinician.query();
      await submission.acceptor.accept(act);
      await quarantined();
      await bench.stopMirror();
      await sendElsewhere(addressOf(newKey()), Buffer.alloc(0), 21_000n, nonce + 1n);
      await eventually(
        'it is mined',
        async () => (await node.transactionCount(addressOf(bench.chain.relayerKeys[0]!))) > nonce + 1n,
      );
      await expect(release()).rejects.toMatchObject({ code: 'MIRROR_BEHIND', message: /indexer/ });
      expect((await signer()).state).toBe('quarantined');
      bench.startMirror();
      await seal(false);
      await sendElsewhere(addressOf(newKey()), Buffer.alloc(0), 21_000n, nonce + 2n);
      await expect(release()).rejects.toMatchObject({ code: 'POOL_HOLDS_FOREIGN' });
      await seal(true);
      const released = await eventually('release', () => release().catch(() => undefined));
      expect(released.nextNonce).toBe(nonce + 3n);
      expect((await endOf(act))!.state).toBe('confirmed');
    });

    it('needs no key: what a signer out of use lost rides again through another', async () => {
      await start({ relayers: 2, settings: { sweepMs: 60_000 } });
      await submission.stop();
      const [old, next] = bench.chain.relayerKeys;
      const first = await bench.submission({ sweepMs: 200, signers: { [NETWORK]: [localSigner(old!)] } });
      const key = (await bench.dataSource.query('SELECT id, next_nonce FROM gateway.signer WHERE address = $1', [
        addressOf(old!),
      ])) as { id: number; next_nonce: string }[];
      await sendElsewhere(addressOf(newKey()), Buffer.alloc(0), 21_000n, BigInt(key[0]!.next_nonce), old);
      const act = clinician.query();
      const { operation } = await first.acceptor.accept(act);
      await quarantined();
      expect((await first.reader.byId(operation.id))!.state).toBe('signed');
      await first.stop();
      submission = await bench.submission({ sweepMs: 200, signers: { [NETWORK]: [localSigner(next!)] } });
      await expect(replace({ kind: 'noop', nonce: BigInt(key[0]!.next_nonce) })).rejects.toMatchObject({
        code: 'NOT_SERVED',
      });
      const request = { signerId: key[0]!.id, inSameCommit: async () => undefined };
      expect(await submission.operator.release(request)).toMatchObject({ lost: 1, returned: 1 });
      expect((await endOf(act))!.state).toBe('confirmed');
      await expectEffects([act], [1]);
    });

    it('by two at once happens once', async () => {
      await start({ settings: { sweepMs: 200 } });
      await sendElsewhere(addressOf(newKey()), Buffer.alloc(0), 21_000n, BigInt((await signer()).next_nonce));
      const act = clinician.query();
      await submission.acceptor.accept(act);
      await quarantined();
      const outcomes = await Promise.allSettled([release(), release()]);
      expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
      expect((await endOf(act))!.state).toBe('confirmed');
      await expectEffects([act], [1]);
    });
  });
});
