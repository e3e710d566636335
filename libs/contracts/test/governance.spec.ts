import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { toHex } from '../../platform/src/bytes.js';
import { keccak256 } from '../../platform/src/keccak.js';
import { deploymentData } from '../src/deployment.js';
import { Operation, Purpose, Reason, Role } from '../src/operations.js';
import { type ParametersOf, parameters } from '../src/parameters.js';
import { A, Actor, B, C, expectDenied, hospitalEntry, TestLedger, word, ZERO } from './ledger.js';

let ledger: TestLedger;
let actors: TestLedger['actors'];
beforeAll(async () => {
  ledger = await TestLedger.start();
  actors = ledger.actors;
});
afterAll(() => ledger?.stop());

describe('the registrar', () => {
  const register = (fields: Partial<ParametersOf<'registerActor'>>, registrar = actors.registrarA, via = A) =>
    ledger.act(
      registrar,
      Operation.REGISTER_ACTOR,
      parameters.registerActor({ account: word('x').subarray(12), roles: Role.CLINICIAN, custody: 0, ...fields }),
      { via },
    );
  const setStatus = (account: Buffer, active: boolean, registrar = actors.registrarA, via = A) =>
    ledger.act(registrar, Operation.SET_ACTOR_STATUS, parameters.setActorStatus({ account, active }), { via });

  it('registers actors of its own hospital, who may then act', async () => {
    const account = new Actor('self.a').address;
    expect(await register({ account, custody: 1 })).toMatchObject({ type: 'ActorRegistered', account, custody: 1 });
    expectDenied(await register({ account, custody: 1 }), Reason.ALREADY_SO);
    expectDenied(await register({ account, custody: 0 }), Reason.ACTOR_EXISTS);
    expectDenied(await register({ account, custody: 1 }, actors.registrarB, B), Reason.ACTOR_EXISTS);
    expect(await register({ account, custody: 1, roles: Role.DEVICE })).toMatchObject({ roles: Role.DEVICE });
    expectDenied(await register({}, actors.clinicianA), Reason.NOT_REGISTRAR);
    expectDenied(await register({}, actors.registrarB), Reason.NOT_REGISTRAR);
    expectDenied(await register({ roles: 0 }), Reason.MALFORMED);
    expectDenied(await register({ roles: 128 }), Reason.MALFORMED);
    expectDenied(await register({ custody: 2 }), Reason.MALFORMED);
    expectDenied(await register({ account: Buffer.alloc(20) }), Reason.MALFORMED);
  });

  it('suspends and reinstates them', async () => {
    const recordId = await ledger.open('suspension', 0);
    const query = parameters.query({ version: 1, purpose: Purpose.TREAT, ttl: 1, basis: ZERO });
    const ask = () => ledger.act(actors.colleagueA, Operation.QUERY, query, { recordId });
    const { address } = actors.colleagueA;
    expectDenied(await setStatus(address, true), Reason.ALREADY_SO);
    expect(await setStatus(address, false)).toMatchObject({ type: 'ActorStatusChanged', active: false });
    expectDenied(await ask(), Reason.ACTOR_SUSPENDED);
    expectDenied(await register({ account: address, roles: Role.DEVICE }), Reason.ACTOR_SUSPENDED);
    expect(await setStatus(address, true)).toMatchObject({ active: true });
    expect(await ask()).toMatchObject({ type: 'RecordQueried' });
    expectDenied(await setStatus(address, false, actors.registrarB, B), Reason.ACTOR_UNKNOWN);
    expectDenied(await setStatus(new Actor('nobody').address, false), Reason.ACTOR_UNKNOWN);
  });

  it('changes keys and relayers, but never to none', async () => {
    const relayer = ledger.accounts[5]!;
    const set = (address: Buffer, active: boolean) =>
      ledger.act(actors.registrarC, Operation.SET_RELAYER, parameters.setRelayer({ relayer: address, active }), {
        via: C,
      });
    expectDenied(await set(ledger.accounts[C]!, false), Reason.NOT_SUPPORTED);
    expect(await set(relayer, true)).toMatchObject({ type: 'RelayerChanged', id: C, relayer, active: true });
    expectDenied(await set(relayer, true), Reason.ALREADY_SO);
    expectDenied(await set(ledger.accounts[A]!, true), Reason.ACTOR_EXISTS);
    expectDenied(await set(actors.registrarC.address, true), Reason.MALFORMED);
    expect(await set(relayer, false)).toMatchObject({ active: false });
    const update = (fields: Partial<ParametersOf<'updateHospital'>>, actor = actors.registrarC) =>
      ledger.act(
        actor,
        Operation.UPDATE_HOSPITAL,
        parameters.updateHospital({
          registrar: actors.registrarC.address,
          identityKey: word('new identity'),
          transferKey: word('new transfer key'),
          transferKeyId: 2,
          endpointHash: word('new endpoint'),
          ...fields,
        }),
        { via: C },
      );
    expect(await update({})).toMatchObject({ type: 'HospitalUpdated', id: C, transferKeyId: 2 });
    expectDenied(await update({ transferKeyId: 1 }), Reason.VERSION_STALE);
    expectDenied(await update({ registrar: ledger.accounts[A]! }), Reason.MALFORMED);
    const successor = new Actor('successor.c');
    expect(await update({ registrar: successor.address })).toMatchObject({ registrar: successor.address });
    expectDenied(await update({}), Reason.NOT_REGISTRAR);
    await update({}, successor);
  });
});

describe('the hospitals together', () => {
  const D = 4;
  const registrarD = new Actor('registrar.d');
  let snapshot: [string, bigint, Buffer];
  beforeEach(async () => {
    if (snapshot) {
      await ledger.anvil.request('evm_revert', snapshot[0]);
      [, ledger.sequence, ledger.head] = snapshot;
    }
    snapshot = [await ledger.anvil.request<string>('evm_snapshot'), ledger.sequence, ledger.head];
  });

  const admission = () =>
    parameters.voteAdmit({
      id: D,
      registrar: registrarD.address,
      relayer: ledger.accounts[D]!,
      identityKey: word('identity 4'),
      transferKey: word('transfer key 4'),
      transferKeyId: 1,
      endpointHash: word('endpoint 4'),
    });
  const vote = async (registrar: Actor, via: number, operation: number, encoded: Buffer) =>
    (await ledger.send([ledger.intent(registrar, operation, encoded)], via)).events;
  const status = (id: number, active: boolean) => parameters.voteStatus({ id, active });

  it('admit another with the votes of two distinct hospitals', async () => {
    const admit = (registrar: Actor, via: number) => vote(registrar, via, Operation.VOTE_ADMIT, admission());
    const operation = Buffer.alloc(32);
    operation[31] = Operation.VOTE_ADMIT;
    const change = keccak256(operation, admission());
    expect((await admit(actors.registrarA, A))[0]).toMatchObject({ type: 'VoteCast', change, votes: 1, threshold: 2 });
    expectDenied((await admit(actors.registrarA, A))[0]!, Reason.ALREADY_SO);
    expectDenied((await admit(actors.clinicianB, B))[0]!, Reason.NOT_REGISTRAR);
    const events = await admit(actors.registrarB, B);
    expect(events).toMatchObject([
      { type: 'VoteCast', votes: 2 },
      { type: 'HospitalRegistered', id: D, registrar: registrarD.address, hospital: B },
      { type: 'RelayerChanged', id: D, relayer: ledger.accounts[D], active: true },
      { type: 'Head' },
    ]);
    expectDenied((await admit(actors.registrarC, C))[0]!, Reason.HOSPITAL_EXISTS);
    expectDenied((await admit(registrarD, D))[0]!, Reason.HOSPITAL_EXISTS);
  });

  it('suspend and reinstate one, whose relayer and votes then count for nothing', async () => {
    const suspend = status(C, false);
    await vote(actors.registrarC, C, Operation.VOTE_ADMIT, admission());
    await vote(actors.registrarA, A, Operation.VOTE_STATUS, suspend);
    const events = await vote(actors.registrarB, B, Operation.VOTE_STATUS, suspend);
    expect(events[1]).toMatchObject({ type: 'HospitalStatusChanged', id: C, active: false });
    await expect(
      ledger.send([ledger.intent(actors.registrarC, Operation.VOTE_ADMIT, admission())], C),
    ).rejects.toThrow();
    const [first] = await vote(actors.registrarA, A, Operation.VOTE_ADMIT, admission());
    expect(first).toMatchObject({ type: 'VoteCast', votes: 1 });
    expectDenied((await vote(actors.registrarA, A, Operation.VOTE_STATUS, suspend))[0]!, Reason.ALREADY_SO);
    await vote(actors.registrarA, A, Operation.VOTE_STATUS, status(C, true));
    const back = await vote(actors.registrarB, B, Operation.VOTE_STATUS, status(C, true));
    expect(back[1]).toMatchObject({ type: 'HospitalStatusChanged', id: C, active: true });
    // The same change can be voted on anew: the first ballot was spent.
    const again = await vote(actors.registrarA, A, Operation.VOTE_STATUS, suspend);
    expect(again).toMatchObject([{ type: 'VoteCast', votes: 1 }, { type: 'Head' }]);
  });

  it('never suspend the last, and need no more votes than there are active hospitals', async () => {
    for (const id of [C, B]) {
      await vote(actors.registrarA, A, Operation.VOTE_STATUS, status(id, false));
      await vote(actors.registrarB, B, Operation.VOTE_STATUS, status(id, false));
    }
    expectDenied((await vote(actors.registrarA, A, Operation.VOTE_STATUS, status(A, false)))[0]!, Reason.NOT_SUPPORTED);
    const events = await vote(actors.registrarA, A, Operation.VOTE_STATUS, status(B, true));
    expect(events[0]).toMatchObject({ votes: 1, threshold: 1 });
    expect(events[1]).toMatchObject({ type: 'HospitalStatusChanged', id: B, active: true });
    expectDenied(
      (await vote(actors.registrarA, A, Operation.VOTE_STATUS, status(9, true)))[0]!,
      Reason.HOSPITAL_UNKNOWN,
    );
  });

  it('move the threshold within their number', async () => {
    const move = (registrar: Actor, via: number, threshold: number) =>
      vote(registrar, via, Operation.VOTE_THRESHOLD, parameters.voteThreshold({ threshold }));
    expectDenied((await move(actors.registrarA, A, 0))[0]!, Reason.MALFORMED);
    expectDenied((await move(actors.registrarA, A, 4))[0]!, Reason.NOT_SUPPORTED);
    expectDenied((await move(actors.registrarA, A, 2))[0]!, Reason.ALREADY_SO);
    await move(actors.registrarA, A, 3);
    expect((await move(actors.registrarB, B, 3))[0]).toMatchObject({ votes: 2, threshold: 2 });
    await vote(actors.registrarA, A, Operation.VOTE_STATUS, status(C, false));
    const events = await vote(actors.registrarB, B, Operation.VOTE_STATUS, status(C, false));
    expect(events).toMatchObject([{ votes: 2, threshold: 3 }, { type: 'Head' }]);
  });
});

describe('deployment', () => {
  it('is refused for hospitals that could not work', async () => {
    const { accounts, anvil } = ledger;
    const good = hospitalEntry(A, accounts);
    const deploy = (entries: (typeof good)[], threshold: number) => {
      const transaction = { from: toHex(accounts[9]!), data: toHex(deploymentData(entries, threshold)) };
      return anvil.request('eth_call', transaction, 'latest');
    };
    await deploy([good], 1);
    const wrong: [(typeof good)[], number][] = [
      [[], 1],
      [[good], 0],
      [[good], 2],
      [[good, good], 1],
      [[{ ...good, id: 0 }], 1],
      [[{ ...good, relayers: [] }], 1],
      [[{ ...good, registrar: Buffer.alloc(20) }], 1],
      [[{ ...good, relayers: [good.registrar] }], 1],
      [[{ ...good, relayers: [accounts[1]!, accounts[1]!] }], 1],
      [[good, { ...hospitalEntry(B, accounts), relayers: good.relayers }], 1],
    ];
    for (const [entries, threshold] of wrong) await expect(deploy(entries, threshold)).rejects.toThrow();
  });
});
