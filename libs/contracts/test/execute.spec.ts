import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fromHex, toHex } from '../../platform/src/bytes.js';
import { encodeExecute, type Intent } from '../src/intent.codec.js';
import { Operation, Purpose, Reason } from '../src/operations.js';
import { parameters } from '../src/parameters.js';
import { decodeRevert } from '../src/revert.js';
import { A, B, expectDenied, record, TestLedger, word, ZERO } from './ledger.js';

let ledger: TestLedger;
let actors: TestLedger['actors'];
let recordId: Buffer;
beforeAll(async () => {
  ledger = await TestLedger.start();
  actors = ledger.actors;
  recordId = await ledger.open('batch');
});
afterAll(() => ledger?.stop());

const query = (fields: Partial<Intent> = {}) =>
  ledger.intent(
    actors.clinicianA,
    Operation.QUERY,
    parameters.query({ version: 1, purpose: Purpose.TREAT, ttl: 300, basis: ZERO }),
    { recordId, ...fields },
  );

describe('execute', () => {
  it('gives each act its own outcome, in order', async () => {
    const first = query();
    const malformed = query({ parameters: Buffer.alloc(33) });
    const { events } = await ledger.send([first, malformed, query({ operation: 200 }), query(), first]);
    expect(events.map((it) => it.type)).toEqual([
      'RecordQueried',
      'AccessDenied',
      'AccessDenied',
      'RecordQueried',
      'Duplicate',
      'Head',
    ]);
    expectDenied(events[1]!, Reason.MALFORMED);
    expectDenied(events[2]!, Reason.UNKNOWN_OPERATION);
    expect(events[4]).toMatchObject({ position: 4, requestId: first.requestId });
    expect(await ledger.call('head')).toEqual([ledger.sequence, toHex(ledger.head)]);
    const known = ledger.recordHeads.get(toHex(recordId))!;
    expect(await ledger.call('recordHead', toHex(recordId))).toEqual([known.sequence, toHex(known.head)]);
  });

  it('does nothing twice, and says where the first was; a new token or deadline changes nothing', async () => {
    const first = query();
    await ledger.send([first]);
    const { sequence } = ledger;
    const again = query({
      requestId: first.requestId,
      authContext: word('another token'),
      deadline: first.deadline + 1,
    });
    const { events } = await ledger.send([first, again]);
    expect(events.slice(0, 2)).toEqual([
      { type: 'Duplicate', requestId: first.requestId, position: 0, sequence },
      { type: 'Duplicate', requestId: first.requestId, position: 1, sequence },
    ]);
    expect(ledger.sequence).toBe(sequence);
    expect(await ledger.call('requestSequence', A, toHex(first.requestId))).toEqual([sequence]);
  });

  it('reports the same requestId with another effect as a mismatch', async () => {
    const first = query();
    await ledger.send([first]);
    const { sequence } = ledger;
    const { requestId } = first;
    const others = [
      query({ requestId, recordId: word('another record') }),
      query({ requestId, operation: Operation.GRANT }),
      query({ requestId, parameters: Buffer.alloc(0) }),
      ledger.intent(actors.recordsA, Operation.QUERY, first.parameters, { recordId, requestId }),
    ];
    const { events } = await ledger.send(others);
    expect(events.slice(0, -1)).toEqual(
      others.map((_, position) => ({ type: 'Mismatch', requestId, position, sequence })),
    );
    expect(ledger.sequence).toBe(sequence);
  });

  it('keeps requestIds apart by hospital, and a refusal consumes its own', async () => {
    const first = query();
    await ledger.send([first]);
    const foreign = ledger.intent(actors.clinicianB, Operation.QUERY, first.parameters, {
      recordId,
      requestId: first.requestId,
    });
    const { events } = await ledger.send([foreign, foreign], B);
    expectDenied(events[0]!, Reason.NO_RELATION);
    expect(events[1]).toMatchObject({ type: 'Duplicate' });
  });

  it('consumes nothing for a forged or damaged signature', async () => {
    const good = query();
    const { signature } = good;
    const order = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
    const twinS = (order - BigInt(toHex(signature.subarray(32, 64)))).toString(16).padStart(64, '0');
    const twin = Buffer.concat([
      signature.subarray(0, 32),
      Buffer.from(twinS, 'hex'),
      Buffer.from([signature[64] === 27 ? 28 : 27]),
    ]);
    const lowV = Buffer.from(signature);
    lowV[64]! -= 27;
    const forged = [
      query({ ...good, signer: actors.stranger } as Partial<Intent>),
      { ...good, actor: actors.recordsA.address },
      { ...good, deadline: good.deadline + 1 },
      { ...good, authContext: word('other') },
      { ...good, recordId: record(A, 'other') },
      { ...good, parameters: Buffer.alloc(128) },
      { ...good, signature: twin },
      { ...good, signature: lowV },
      { ...good, signature: Buffer.alloc(65) },
      { ...good, actor: Buffer.alloc(20), signature: Buffer.alloc(65, 27) },
    ];
    const before = ledger.sequence;
    const { events } = await ledger.send(forged);
    expect(events.slice(0, -1)).toEqual(
      forged.map((_, position) => ({ type: 'BadSignature', relayer: ledger.accounts[A], position })),
    );
    expect(ledger.sequence).toBe(before);
    expect(await ledger.call('requestSequence', A, toHex(good.requestId))).toEqual([0n]);
    expect((await ledger.send([good])).events[0]).toMatchObject({ type: 'RecordQueried' });
  });

  it('refuses what comes after its deadline, on record', async () => {
    const deadline = Number(await ledger.now());
    const { events } = await ledger.send([query({ deadline })]);
    expectDenied(events[0]!, Reason.DEADLINE_PASSED);
  });

  it('reverts for an unknown relayer and an empty batch, and for nothing else', async () => {
    const revertOf = async (from: Buffer, intents: Intent[]) => {
      const transaction = { from: toHex(from), to: toHex(ledger.address), data: toHex(encodeExecute(intents)) };
      try {
        await ledger.anvil.request('eth_call', transaction, 'latest');
      } catch (error) {
        return decodeRevert(fromHex((error as { data: string }).data));
      }
      return undefined;
    };
    const outsider = ledger.accounts[7]!;
    expect(await revertOf(outsider, [query()])).toEqual({ name: 'UnknownRelayer', caller: outsider });
    expect(await revertOf(ledger.accounts[A]!, [])).toEqual({ name: 'EmptyBatch' });
    expect(
      await revertOf(ledger.accounts[A]!, [query({ operation: 255, parameters: Buffer.alloc(999) })]),
    ).toBeUndefined();
  });

  it('has the domain separator the codec signs under', async () => {
    const { domainSeparator } = await import('../src/intent.codec.js');
    expect(await ledger.call('domainSeparator')).toEqual([toHex(domainSeparator(80n, ledger.address))]);
  });
});
