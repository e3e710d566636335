import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Operation, Purpose, Reason } from '../src/operations.js';
import { addressWord, type ParametersOf, parameters } from '../src/parameters.js';
import { A, Actor, B, C, expectDenied, TestLedger, word, ZERO } from './ledger.js';

let ledger: TestLedger;
let actors: TestLedger['actors'];
beforeAll(async () => {
  ledger = await TestLedger.start();
  actors = ledger.actors;
});
afterAll(() => ledger?.stop());

const NOBODY = Buffer.alloc(20);
const QUERY_BIT = 1 << Operation.QUERY;

const granting = (grantId: Buffer, fields: Partial<ParametersOf<'grant'>> = {}) =>
  parameters.grant({
    grantId,
    grantee: NOBODY,
    granteeHospital: B,
    operations: QUERY_BIT,
    purpose: 0,
    delay: 0,
    duration: 0,
    consentHash: ZERO,
    ...fields,
  });
const query = (basis: Buffer, purpose: number = Purpose.TREAT) =>
  parameters.query({ version: 1, purpose, ttl: 300, basis });
const ask = (recordId: Buffer, basis: Buffer, purpose?: number, actor = actors.clinicianB, via = B) =>
  ledger.act(actor, Operation.QUERY, query(basis, purpose), { recordId, via });
const give = async (recordId: Buffer, name: string, fields: Partial<ParametersOf<'grant'>> = {}) => {
  const grantId = word(name);
  const event = await ledger.act(actors.patient, Operation.GRANT, granting(grantId, fields), { recordId });
  expect(event.type).toBe('AccessGranted');
  return grantId;
};

describe('a grant', () => {
  it("opens the record to another hospital's actors until it is revoked", async () => {
    const recordId = await ledger.open('shared');
    const grantId = await give(recordId, 'grant to B');
    expect(await ask(recordId, grantId)).toMatchObject({ type: 'RecordQueried', basis: grantId, hospital: B });
    expectDenied(await ask(recordId, grantId, 1, actors.clinicianC, C), Reason.NO_RELATION);
    expectDenied(await ask(recordId, ZERO), Reason.NO_RELATION);
    const revoking = parameters.revoke({ grantId, reason: 3 });
    const revoke = () => ledger.act(actors.patient, Operation.REVOKE, revoking, { recordId });
    expect(await revoke()).toMatchObject({ type: 'AccessRevoked', grantId, reason: 3 });
    expectDenied(await revoke(), Reason.ALREADY_SO);
    expectDenied(await ask(recordId, grantId), Reason.GRANT_INACTIVE);
  });

  it('covers its grantee, purpose, operations and time alone', async () => {
    const recordId = await ledger.open('narrow');
    const toActor = await give(recordId, 'to an actor', { grantee: actors.clinicianB.address });
    expect(await ask(recordId, toActor)).toMatchObject({ type: 'RecordQueried' });
    expectDenied(await ask(recordId, toActor, 1, actors.recordsB), Reason.NO_RELATION);
    const research = await give(recordId, 'research', { purpose: Purpose.HRESCH });
    expectDenied(await ask(recordId, research), Reason.GRANT_INACTIVE);
    expect(await ask(recordId, research, Purpose.HRESCH)).toMatchObject({ type: 'RecordQueried' });
    const amendOnly = await give(recordId, 'amend only', { operations: 1 << Operation.AMEND });
    expectDenied(await ask(recordId, amendOnly), Reason.GRANT_INACTIVE);
    const later = await give(recordId, 'later', { delay: 1000, duration: 500 });
    expectDenied(await ask(recordId, later), Reason.GRANT_INACTIVE);
    await ledger.later(1000);
    expect(await ask(recordId, later)).toMatchObject({ type: 'RecordQueried' });
    await ledger.later(500);
    expectDenied(await ask(recordId, later), Reason.GRANT_INACTIVE);
  });

  it("covers a team of the grantee's hospital", async () => {
    const recordId = await ledger.open('to a team');
    const team = new Actor('team of B').address;
    const grantId = await give(recordId, 'to a team', { grantee: team });
    expectDenied(await ask(recordId, grantId), Reason.NO_RELATION);
    await ledger.act(
      actors.registrarB,
      Operation.SET_TEAM_MEMBER,
      parameters.setTeamMember({ team, member: actors.clinicianB.address, active: true }),
      { via: B },
    );
    expect(await ask(recordId, grantId)).toMatchObject({ type: 'RecordQueried' });
  });

  it('needs a purpose at level 2, and an end too at level 3', async () => {
    for (const level of [2, 3]) {
      const recordId = await ledger.open(`level ${level}`, level);
      const open = await give(recordId, `open ${level}`);
      expectDenied(await ask(recordId, open), Reason.LEVEL_ASKS_MORE);
      const purposeful = await give(recordId, `purposeful ${level}`, { purpose: Purpose.TREAT });
      const answer = await ask(recordId, purposeful);
      if (level === 2) expect(answer).toMatchObject({ type: 'RecordQueried' });
      else expectDenied(answer, Reason.LEVEL_ASKS_MORE);
      const bounded = await give(recordId, `bounded ${level}`, { purpose: Purpose.TREAT, duration: 3600 });
      expect(await ask(recordId, bounded)).toMatchObject({ type: 'RecordQueried' });
    }
  });

  it('is given by the subject, or by a privacy officer who shows consent', async () => {
    const recordId = await ledger.open('given');
    const grant = (actor: Actor, encoded: Buffer, via = A) =>
      ledger.act(actor, Operation.GRANT, encoded, { recordId, via });
    expectDenied(await grant(actors.clinicianA, granting(word('x'))), Reason.ROLE_MISSING);
    expectDenied(await grant(actors.privacyA, granting(word('x'))), Reason.CONSENT_MISSING);
    expectDenied(await grant(actors.patient, granting(word('x')), B), Reason.ACTOR_UNKNOWN);
    const consented = granting(word('consented'), { consentHash: word('consent') });
    expect(await grant(actors.privacyA, consented)).toMatchObject({
      type: 'AccessGranted',
      consentHash: word('consent'),
      notAfter: 0n,
      notBefore: await ledger.now(),
    });
    expectDenied(await grant(actors.privacyA, consented), Reason.GRANT_EXISTS);
    expectDenied(await grant(actors.patient, granting(word('x'), { granteeHospital: 9 })), Reason.HOSPITAL_UNKNOWN);
    expectDenied(await grant(actors.patient, granting(word('x'), { operations: 0 })), Reason.MALFORMED);
    const likeTeam = granting(addressWord(actors.clinicianB.address));
    expectDenied(await grant(actors.patient, likeTeam), Reason.MALFORMED);
    const unknown = parameters.revoke({ grantId: word('never'), reason: 0 });
    expectDenied(await ledger.act(actors.privacyA, Operation.REVOKE, unknown, { recordId }), Reason.GRANT_UNKNOWN);
  });
});
