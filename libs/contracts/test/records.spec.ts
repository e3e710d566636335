import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Operation, Purpose, Reason } from '../src/operations.js';
import { addressWord, parameters } from '../src/parameters.js';
import { A, Actor, B, expectDenied, record, TestLedger, word, ZERO } from './ledger.js';

let ledger: TestLedger;
let actors: TestLedger['actors'];
beforeAll(async () => {
  ledger = await TestLedger.start();
  actors = ledger.actors;
});
afterAll(() => ledger?.stop());

const query = (basis: Buffer = ZERO, purpose: number = Purpose.TREAT, version = 1) =>
  parameters.query({ version, purpose, ttl: 300, basis });
const opening = (level = 1, origin: Buffer = ZERO) =>
  parameters.open({
    contentHash: word('content'),
    subject: actors.patient.address,
    level,
    origin,
    originBlock: origin.equals(ZERO) ? ZERO : word('block'),
  });

describe('open', () => {
  it('makes version 1 and relates the opener', async () => {
    const recordId = record(A, 'opened');
    const event = await ledger.act(actors.clinicianA, Operation.OPEN, opening(2), { recordId });
    expect(event).toMatchObject({
      type: 'RecordOpened',
      hospital: A,
      version: 1,
      level: 2,
      subject: actors.patient.address,
      contentHash: word('content'),
      recordSequence: 1n,
      recordHead: ZERO,
    });
    const amended = await ledger.act(
      actors.clinicianA,
      Operation.AMEND,
      parameters.amend({ expectedVersion: 1, contentHash: word('content 2') }),
      { recordId },
    );
    expect(amended).toMatchObject({ type: 'RecordAmended', version: 2, previousHash: word('content') });
  });

  it('is refused for an id that is taken, of another hospital, or by another role', async () => {
    const recordId = await ledger.open('taken');
    expectDenied(await ledger.act(actors.clinicianA, Operation.OPEN, opening(), { recordId }), Reason.RECORD_EXISTS);
    const foreign = { recordId: record(B, 'foreign') };
    expectDenied(await ledger.act(actors.clinicianA, Operation.OPEN, opening(), foreign), Reason.NOT_CUSTODIAN);
    const fresh = { recordId: record(A, 'fresh') };
    expectDenied(await ledger.act(actors.deviceA, Operation.OPEN, opening(), fresh), Reason.ROLE_MISSING);
    expectDenied(await ledger.act(actors.recordsA, Operation.OPEN, opening(), fresh), Reason.ROLE_MISSING);
    expectDenied(await ledger.act(actors.stranger, Operation.OPEN, opening(), fresh), Reason.ACTOR_UNKNOWN);
    const viaB = { ...fresh, via: B };
    expectDenied(await ledger.act(actors.clinicianA, Operation.OPEN, opening(), viaB), Reason.ACTOR_UNKNOWN);
    expectDenied(await ledger.act(actors.clinicianA, Operation.OPEN, opening(4), fresh), Reason.MALFORMED);
  });

  it('lets a records officer take in what was transferred', async () => {
    const event = await ledger.act(actors.recordsB, Operation.OPEN, opening(1, word('transfer')), {
      recordId: record(B, 'copy'),
      via: B,
    });
    expect(event).toMatchObject({ type: 'RecordOpened', origin: word('transfer'), originBlock: word('block') });
  });
});

describe('query', () => {
  it('at level 0 asks for a role alone', async () => {
    const recordId = await ledger.open('administrative', 0);
    for (const actor of [actors.colleagueA, actors.recordsA, actors.deviceA]) {
      expect(await ledger.act(actor, Operation.QUERY, query(), { recordId })).toMatchObject({
        type: 'RecordQueried',
        version: 1,
        purpose: Purpose.TREAT,
        ttl: 300,
      });
    }
    expectDenied(await ledger.act(actors.auditorA, Operation.QUERY, query(), { recordId }), Reason.ROLE_MISSING);
    expectDenied(await ledger.act(actors.privacyA, Operation.QUERY, query(), { recordId }), Reason.NO_RELATION);
    const viaB = { recordId, via: B };
    expectDenied(await ledger.act(actors.clinicianB, Operation.QUERY, query(), viaB), Reason.NO_RELATION);
  });

  it('at level 1 asks for a relation, which ends', async () => {
    const recordId = await ledger.open('related');
    const ask = () => ledger.act(actors.colleagueA, Operation.QUERY, query(), { recordId });
    expectDenied(await ask(), Reason.NO_RELATION);
    const relate = (duration: number) =>
      ledger.act(
        actors.clinicianA,
        Operation.RELATE,
        parameters.relate({ party: actors.colleagueA.address, duration }),
        { recordId },
      );
    expect(await relate(0)).toMatchObject({ type: 'RelationStarted', until: 0n, party: actors.colleagueA.address });
    expect(await ask()).toMatchObject({ type: 'RecordQueried' });
    expect(await relate(3600)).toMatchObject({ until: (await ledger.now()) + 3600n });
    expect(await ask()).toMatchObject({ type: 'RecordQueried' });
    await ledger.later(3600);
    expectDenied(await ask(), Reason.NO_RELATION);
    await relate(0);
    const unrelate = () =>
      ledger.act(actors.recordsA, Operation.UNRELATE, parameters.unrelate({ party: actors.colleagueA.address }), {
        recordId,
      });
    expect(await unrelate()).toMatchObject({ type: 'RelationEnded', party: actors.colleagueA.address });
    expectDenied(await unrelate(), Reason.RELATION_UNKNOWN);
    expectDenied(await ask(), Reason.NO_RELATION);
  });

  it('counts a team for its members', async () => {
    const recordId = await ledger.open('team');
    const team = new Actor('team').address;
    const basis = addressWord(team);
    const setMember = (active: boolean) =>
      ledger.act(
        actors.registrarA,
        Operation.SET_TEAM_MEMBER,
        parameters.setTeamMember({ team, member: actors.colleagueA.address, active }),
      );
    const ask = () => ledger.act(actors.colleagueA, Operation.QUERY, query(basis), { recordId });
    await ledger.act(actors.clinicianA, Operation.RELATE, parameters.relate({ party: team, duration: 0 }), {
      recordId,
    });
    expectDenied(await ask(), Reason.NO_RELATION);
    expect(await setMember(true)).toMatchObject({ type: 'TeamMemberChanged', team, active: true });
    expectDenied(await setMember(true), Reason.ALREADY_SO);
    expect(await ask()).toMatchObject({ type: 'RecordQueried', basis });
    await setMember(false);
    expectDenied(await ask(), Reason.NO_RELATION);
  });

  it('is open to the subject, at every level, through the custodian', async () => {
    for (const level of [0, 1, 2, 3]) {
      const recordId = await ledger.open(`own ${level}`, level);
      const own = query(ZERO, Purpose.PATRQT);
      expect(await ledger.act(actors.patient, Operation.QUERY, own, { recordId })).toMatchObject({
        type: 'RecordQueried',
        actor: actors.patient.address,
      });
      expectDenied(await ledger.act(actors.patient, Operation.QUERY, own, { recordId, via: B }), Reason.ACTOR_UNKNOWN);
    }
  });

  it('names what is missing', async () => {
    const recordId = await ledger.open('missing');
    const ask = (encoded: Buffer, id = recordId) =>
      ledger.act(actors.clinicianA, Operation.QUERY, encoded, { recordId: id });
    expectDenied(await ask(query(ZERO, 0)), Reason.PURPOSE_MISSING);
    expectDenied(await ask(query(ZERO, Purpose.TREAT, 0)), Reason.VERSION_STALE);
    expectDenied(await ask(query(ZERO, Purpose.TREAT, 2)), Reason.VERSION_STALE);
    expectDenied(await ask(query(), record(A, 'nowhere')), Reason.RECORD_UNKNOWN);
    expectDenied(await ask(query(word('no grant'))), Reason.GRANT_UNKNOWN);
    expectDenied(await ask(Buffer.alloc(127)), Reason.MALFORMED);
    const restricted = await ledger.open('restricted', 2);
    expectDenied(await ask(query(), restricted), Reason.LEVEL_ASKS_MORE);
  });
});

describe('amend, close and reopen', () => {
  const amend = (expectedVersion: number) =>
    parameters.amend({ expectedVersion, contentHash: word(`content ${expectedVersion}`) });

  it('amends the expected version only, by a related clinician of the custodian', async () => {
    const recordId = await ledger.open('amended');
    expectDenied(await ledger.act(actors.colleagueA, Operation.AMEND, amend(1), { recordId }), Reason.NO_RELATION);
    expectDenied(await ledger.act(actors.recordsA, Operation.AMEND, amend(1), { recordId }), Reason.ROLE_MISSING);
    const viaB = { recordId, via: B };
    expectDenied(await ledger.act(actors.clinicianB, Operation.AMEND, amend(1), viaB), Reason.NOT_CUSTODIAN);
    expect(await ledger.act(actors.clinicianA, Operation.AMEND, amend(1), { recordId })).toMatchObject({ version: 2 });
    expectDenied(await ledger.act(actors.clinicianA, Operation.AMEND, amend(1), { recordId }), Reason.VERSION_STALE);
  });

  it('refuses to amend what is closed, until it is reopened', async () => {
    const recordId = await ledger.open('closed');
    const set = (operation: number, actor: Actor = actors.recordsA) =>
      ledger.act(actor, operation, parameters.close({ reason: 7 }), { recordId });
    expectDenied(await set(Operation.CLOSE, actors.clinicianA), Reason.ROLE_MISSING);
    expectDenied(await set(Operation.REOPEN), Reason.ALREADY_SO);
    expect(await set(Operation.CLOSE)).toMatchObject({ type: 'RecordClosed', reason: 7 });
    expectDenied(await set(Operation.CLOSE), Reason.ALREADY_SO);
    expectDenied(await ledger.act(actors.clinicianA, Operation.AMEND, amend(1), { recordId }), Reason.RECORD_CLOSED);
    expect(await ledger.act(actors.clinicianA, Operation.QUERY, query(), { recordId })).toMatchObject({
      type: 'RecordQueried',
    });
    expect(await set(Operation.REOPEN)).toMatchObject({ type: 'RecordReopened', reason: 7 });
    expect(await ledger.act(actors.clinicianA, Operation.AMEND, amend(1), { recordId })).toMatchObject({ version: 2 });
  });
});
