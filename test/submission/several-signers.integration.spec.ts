import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { remoteSigner } from '../../libs/chain-client/src/keys/remote.signer.js';
import { addressOf } from '../../libs/chain-client/src/keys/secp256k1.js';
import { localSigner, type Signer } from '../../libs/chain-client/src/keys/signer.js';
import type { NewOperation } from '../../libs/chain-client/src/submission/operation.types.js';
import type { Submission } from '../../libs/chain-client/src/submission/submission.js';
import { type SigningServer, startSigningServer } from '../stack/web3signer.js';
import { type Bench, type Clinician, eventually, NETWORK, startBench } from './harness.js';

describe('several signers of one hospital', () => {
  let bench: Bench;
  let server: SigningServer;
  let clinicians: Clinician[];

  beforeEach(async () => {
    bench = await startBench({ relayers: 3 });
    server = await startSigningServer([bench.chain.relayerKeys[2]!], bench.network.chainId);
    const first = await bench.submission();
    clinicians = await Promise.all(Array.from({ length: 12 }, () => bench.clinician(first)));
    await first.stop();
  });
  afterEach(async () => {
    await server?.close();
    await bench?.stop();
  });

  const key = (index: number) => bench.chain.relayerKeys[index]!;
  const keystores = () => [localSigner(key(0)), localSigner(key(1))];
  const elsewhere = () => remoteSigner({ address: addressOf(key(2)), url: server.url, kind: 'web3signer' });
  const start = (...signers: Signer[]) => bench.submission({ signers: { [NETWORK]: signers } });
  const rows = <T>(sql: string, values: unknown[] = []): Promise<T[]> => bench.dataSource.query(sql, values);

  const setState = (index: number, state: 'active' | 'paused') =>
    rows(
      `UPDATE gateway.signer SET state = $2, reason = CASE WHEN $2 = 'paused' THEN 'PAUSED_BY_ADMIN' END, fence = fence + 1
       WHERE address = $1 AND state <> $2 AND state <> 'quarantined'`,
      [addressOf(key(index)), state],
    );

  /** Rounds of one act on every record; each act is stored before the record's next one comes. */
  async function load(submission: Submission, rounds: number, between?: (round: number) => Promise<unknown>) {
    const acts: NewOperation[] = [];
    for (let round = 0; round < rounds; round += 1) {
      const these = clinicians.map((clinician) => clinician.query());
      await Promise.all(these.map((act) => submission.acceptor.accept(act)));
      acts.push(...these);
      await between?.(round);
    }
    return acts;
  }

  async function expectEachOnceInOrder(submission: Submission, acts: NewOperation[]): Promise<void> {
    const waits = acts.map(({ network, requestId }) => submission.outcomes.waitFor(network, requestId, 20_000));
    expect((await Promise.all(waits)).map((end) => end?.state)).toEqual(acts.map(() => 'confirmed'));
    const events = await rows<{ record: string; sequence: string }>(
      `SELECT encode(o.record_id, 'hex') AS record, e.sequence
       FROM gateway.operation o JOIN mirror.emr_event e ON e.network = o.network AND e.request_id = o.request_id
       WHERE o.request_id = ANY($1) ORDER BY o.ordinal`,
      [acts.map(({ requestId }) => requestId)],
    );
    expect(events).toHaveLength(acts.length);
    const seen = new Map<string, number>();
    for (const { record, sequence } of events) {
      expect(Number(sequence)).toBeGreaterThan(seen.get(record) ?? 0);
      seen.set(record, Number(sequence));
    }
    const nonces = await rows<{ gaps: number }>(
      `SELECT (max(nonce) - min(nonce) + 1 - count(*))::int AS gaps FROM gateway.transaction GROUP BY signer_id`,
    );
    expect(nonces.map(({ gaps }) => gaps)).toEqual(nonces.map(() => 0));
  }

  /** How many transactions each signer has made. */
  async function shares(): Promise<number[]> {
    const made = await rows<{ address: Buffer; n: number }>(
      `SELECT s.address, (SELECT count(*)::int FROM gateway.transaction t WHERE t.signer_id = s.id) AS n FROM gateway.signer s`,
    );
    return [0, 1, 2].map((index) => made.find(({ address }) => address.equals(addressOf(key(index))))?.n ?? 0);
  }

  it('share the work by record, keystores and one elsewhere side by side', async () => {
    const submission = await start(...keystores(), elsewhere());
    const before = await shares();
    await expectEachOnceInOrder(submission, await load(submission, 20));
    const after = await shares();
    for (const index of [0, 1, 2]) expect(after[index]).toBeGreaterThan(before[index]!);
  });

  it('keep the order of a record while they are paused and go on by turns, one slow, one refusing now and then', async () => {
    const submission = await start(...keystores(), elsewhere());
    let asked = 0;
    server.answer = async (raw) => {
      asked += 1;
      await sleep(15);
      if (asked % 7 === 0) throw new Error('Request denied');
      return raw;
    };
    const paused = [false, false, false];
    const acts = await load(submission, 60, async (round) => {
      const index = round % 3;
      // Never all of them at once.
      if (paused[index] || paused.filter(Boolean).length < 2) {
        paused[index] = !paused[index];
        await setState(index, paused[index] ? 'paused' : 'active');
      }
      await sleep(10);
    });
    for (const index of [0, 1, 2]) await setState(index, 'active');
    await expectEachOnceInOrder(submission, acts);
  });

  it('go on without one that is quarantined; what it has out keeps its records waiting, and only those', async () => {
    const signers = { [NETWORK]: keystores() };
    const submission = await bench.submission({ signers, limits: { resendAfterMs: 500, maxInFlight: 64 } });
    // The node takes nothing for a while: what is signed stays out.
    const node = submission.networks[0]!.reader;
    const sendRaw = node.sendRaw.bind(node);
    node.sendRaw = async (raws) =>
      raws.map(() => ({ error: Object.assign(new Error('pool full'), { answered: true }) as never }));
    const stuck = await load(submission, 1);
    await eventually('all are signed', async () => {
      const out = await rows(`SELECT FROM gateway.operation WHERE phase = 'accepted'`);
      return out.length === 0;
    });
    await rows(`UPDATE gateway.signer SET state = 'quarantined', reason = 'FOREIGN_NONCE 1' WHERE address = $1`, [
      addressOf(key(1)),
    ]);
    const held = await rows<{ record: string }>(
      `SELECT encode(o.record_id, 'hex') AS record FROM gateway.operation o
       JOIN gateway.transaction_operation r ON r.operation_ordinal = o.ordinal
       JOIN gateway.transaction t ON t.id = r.transaction_id AND t.state = 'signed'
       JOIN gateway.signer s ON s.id = t.signer_id AND s.address = $1`,
      [addressOf(key(1))],
    );
    expect(held.length).toBeGreaterThan(0);
    expect(held.length).toBeLessThan(clinicians.length);
    const next = await load(submission, 1);
    await eventually('the others are signed', async () => {
      const waiting = await rows<{ record: string }>(
        `SELECT encode(record_id, 'hex') AS record FROM gateway.operation WHERE phase = 'accepted'`,
      );
      const sorted = (list: { record: string }[]) =>
        list
          .map(({ record }) => record)
          .sort()
          .join();
      return sorted(waiting) === sorted(held);
    });
    // The way is free again, and what was signed is sent whoever signed it.
    node.sendRaw = sendRaw;
    await expectEachOnceInOrder(submission, [...stuck, ...next]);
  });

  it('changed by configuration: a new one takes its share, the transactions of one that is gone are still brought to their end', async () => {
    const first = await start(...keystores());
    await bench.chain.kill();
    const acts = await load(first, 3);
    await eventually('they are signed by both', async () => {
      const open = await rows(`SELECT DISTINCT signer_id FROM gateway.transaction WHERE state = 'signed'`);
      return open.length === 2;
    });
    await first.stop();
    // The node comes back without its pool; one of the two keys is configured no more, and one elsewhere is.
    await bench.chain.restart();
    const next = await start(localSigner(key(0)), elsewhere());
    const before = await shares();
    const more = await load(next, 5);
    await expectEachOnceInOrder(next, [...acts, ...more]);
    const after = await shares();
    expect(after[1]).toBe(before[1]);
    expect(after[2]).toBeGreaterThan(before[2]!);
  });
});
