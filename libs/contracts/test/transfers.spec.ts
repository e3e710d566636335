import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { LedgerEvent } from '../src/event.codec.js';
import { Operation, Reason } from '../src/operations.js';
import { type ParametersOf, parameters } from '../src/parameters.js';
import { A, Actor, B, C, expectDenied, record, TestLedger, word, ZERO } from './ledger.js';

let ledger: TestLedger;
let actors: TestLedger['actors'];
beforeAll(async () => {
  ledger = await TestLedger.start();
  actors = ledger.actors;
});
afterAll(() => ledger?.stop());

const TTL = 3600;

/** The steps of one transfer of one record, each by its usual actor. */
class Steps {
  readonly transferId: Buffer;
  constructor(
    readonly recordId: Buffer,
    readonly name: string,
  ) {
    this.transferId = word(`transfer ${name}`);
  }
  private get hashes() {
    return { transferId: this.transferId, version: 1, contentHash: word(`content ${this.name} 1`) };
  }
  do(actor: Actor, operation: number, encoded: Buffer, via = A): Promise<LedgerEvent> {
    return ledger.act(actor, operation, encoded, { recordId: this.recordId, via });
  }
  freeze = (fields = {}, actor = actors.clinicianA) =>
    this.do(actor, Operation.FREEZE, parameters.freeze({ ...this.hashes, ...fields }));
  propose = (fields: Partial<ParametersOf<'propose'>> = {}, actor = actors.clinicianA, via = A) =>
    this.do(
      actor,
      Operation.PROPOSE,
      parameters.propose({ ...this.hashes, toHospital: B, mode: 0, ttl: TTL, proof: word('block'), ...fields }),
      via,
    );
  accept = (actor = actors.clinicianB, via = B) =>
    this.do(
      actor,
      Operation.ACCEPT,
      parameters.accept({ transferId: this.transferId, packageHash: word('package') }),
      via,
    );
  reject = (actor = actors.recordsB, via = B) =>
    this.do(actor, Operation.REJECT, parameters.reject({ transferId: this.transferId, reason: 2 }), via);
  complete = (actor = actors.recordsA, via = A) =>
    this.do(actor, Operation.COMPLETE, parameters.complete({ transferId: this.transferId }), via);
  cancel = (actor = actors.clinicianA, via = A) =>
    this.do(actor, Operation.CANCEL, parameters.cancel({ transferId: this.transferId, reason: 4 }), via);
  expire = (actor = actors.clinicianA, via = A) =>
    this.do(actor, Operation.EXPIRE, parameters.expire({ transferId: this.transferId }), via);
  unfreeze = (outcome = 0, transferId = this.transferId) =>
    this.do(actors.clinicianA, Operation.UNFREEZE, parameters.unfreeze({ transferId, outcome, proof: word('global') }));
}

async function steps(name: string, level = 1): Promise<Steps> {
  return new Steps(await ledger.open(name, level), name);
}

describe('a transfer', () => {
  it('goes from freeze to unfreeze, and the copy opens at its destination', async () => {
    const it = await steps('copied');
    expect(await it.freeze()).toMatchObject({ type: 'RecordFrozen', transferId: it.transferId, version: 1 });
    const proposed = await it.propose();
    expect(proposed).toMatchObject({ type: 'TransferProposed', toHospital: B, mode: 0, proof: word('block') });
    expect(proposed).toMatchObject({ expiresAt: (await ledger.now()) + BigInt(TTL) });
    expectDenied(await it.unfreeze(), Reason.TRANSFER_STATE);
    expect(await it.accept()).toMatchObject({ type: 'TransferAccepted', packageHash: word('package') });
    expectDenied(await it.unfreeze(), Reason.TRANSFER_STATE);
    expect(await it.complete()).toMatchObject({ type: 'TransferCompleted', transferId: it.transferId });
    const opened = await ledger.act(
      actors.clinicianB,
      Operation.OPEN,
      parameters.open({
        contentHash: word('sealed anew'),
        subject: new Actor('patient at B').address,
        level: 1,
        origin: it.transferId,
        originBlock: word('global block'),
      }),
      { recordId: record(B, 'copied'), via: B },
    );
    expect(opened).toMatchObject({ type: 'RecordOpened', origin: it.transferId });
    expect(await it.unfreeze()).toMatchObject({ type: 'RecordUnfrozen', outcome: 0, proof: word('global') });
    expectDenied(await it.unfreeze(), Reason.ALREADY_SO);
  });

  it('keeps a frozen record as it is', async () => {
    const it = await steps('frozen');
    await it.freeze();
    const amend = parameters.amend({ expectedVersion: 1, contentHash: word('other') });
    expectDenied(await it.do(actors.clinicianA, Operation.AMEND, amend), Reason.RECORD_FROZEN);
    for (const operation of [Operation.CLOSE, Operation.REOPEN]) {
      expectDenied(await it.do(actors.recordsA, operation, parameters.close({ reason: 0 })), Reason.RECORD_FROZEN);
    }
    expectDenied(await it.freeze(), Reason.RECORD_FROZEN);
    expectDenied(await it.propose({ transferId: word('another') }), Reason.RECORD_FROZEN);
    expectDenied(await it.unfreeze(0, word('another')), Reason.TRANSFER_UNKNOWN);
    expect(await it.unfreeze(2)).toMatchObject({ type: 'RecordUnfrozen', outcome: 2 });
    expect(await it.do(actors.clinicianA, Operation.AMEND, amend)).toMatchObject({ type: 'RecordAmended' });
  });

  it('is bound to the current version and content', async () => {
    const it = await steps('bound');
    expectDenied(await it.freeze({ version: 2 }), Reason.VERSION_STALE);
    expectDenied(await it.freeze({ contentHash: word('other') }), Reason.CONTENT_MISMATCH);
    expectDenied(await it.propose({ version: 2 }), Reason.VERSION_STALE);
    expectDenied(await it.propose({ contentHash: word('other') }), Reason.CONTENT_MISMATCH);
  });

  it('is proposed by those in charge, to another active hospital, as a copy, once at a time', async () => {
    const it = await steps('proposed');
    expectDenied(await it.propose({}, actors.colleagueA), Reason.NO_RELATION);
    expectDenied(await it.propose({}, actors.clinicianB, B), Reason.NOT_CUSTODIAN);
    expectDenied(await it.propose({ toHospital: A }), Reason.TRANSFER_PARTY);
    expectDenied(await it.propose({ toHospital: 9 }), Reason.HOSPITAL_UNKNOWN);
    expectDenied(await it.propose({ mode: 1 }), Reason.NOT_SUPPORTED);
    expectDenied(await it.propose({ mode: 2 }), Reason.MALFORMED);
    expectDenied(await it.propose({ ttl: 0 }), Reason.MALFORMED);
    expectDenied(await it.propose({ transferId: ZERO }), Reason.MALFORMED);
    expect(await it.propose({}, actors.recordsA)).toMatchObject({ type: 'TransferProposed' });
    expectDenied(await it.propose({ transferId: word('second') }), Reason.TRANSFER_LIVE);
    const other = await steps('other');
    expectDenied(await other.propose({ transferId: it.transferId }), Reason.TRANSFER_STATE);
    const restricted = await steps('level 2', 2);
    expectDenied(await restricted.propose(), Reason.LEVEL_ASKS_MORE);
  });

  it('takes each step from its own party', async () => {
    const it = await steps('parties');
    expectDenied(await it.accept(), Reason.TRANSFER_UNKNOWN);
    await it.propose();
    expectDenied(await it.accept(actors.clinicianA, A), Reason.TRANSFER_PARTY);
    expectDenied(await it.accept(actors.clinicianC, C), Reason.TRANSFER_PARTY);
    expectDenied(await it.accept(actors.clinicianA, B), Reason.ACTOR_UNKNOWN);
    expectDenied(await it.reject(actors.clinicianA, A), Reason.TRANSFER_PARTY);
    expectDenied(await it.complete(actors.clinicianB, B), Reason.TRANSFER_PARTY);
    expectDenied(await it.cancel(actors.clinicianB, B), Reason.TRANSFER_PARTY);
    expectDenied(await it.expire(actors.clinicianC, C), Reason.TRANSFER_PARTY);
    expectDenied(await it.cancel(actors.deviceA), Reason.ROLE_MISSING);
    const elsewhere = new Steps(await ledger.open('elsewhere'), 'parties');
    expectDenied(await elsewhere.accept(), Reason.TRANSFER_UNKNOWN);
  });

  it('has no edge but those drawn, and each end lets the record be proposed again', async () => {
    type Step = 'accept' | 'reject' | 'complete' | 'cancel' | 'expire';
    const all: Step[] = ['accept', 'reject', 'complete', 'cancel', 'expire'];
    const paths: Step[][] = [
      [],
      ['accept'],
      ['accept', 'complete'],
      ['reject'],
      ['cancel'],
      ['expire'],
      ['accept', 'expire'],
    ];
    const allowed = (path: Step[], late: boolean): Step[] => {
      if (path.length === 0) return late ? ['cancel', 'expire'] : ['accept', 'reject', 'cancel'];
      if (path.length === 1 && path[0] === 'accept') return late ? ['expire'] : ['complete'];
      return [];
    };
    for (const path of paths) {
      for (const late of [false, true]) {
        const it = await steps(`edge ${path.join(' ')} ${late}`);
        await it.propose();
        for (const step of path) {
          if (step === 'expire') await ledger.later(TTL + 1);
          expect(await it[step]()).not.toMatchObject({ type: 'AccessDenied' });
        }
        if (late && !path.includes('expire')) await ledger.later(TTL + 1);
        const open = allowed(path, late);
        for (const step of all.filter((each) => !open.includes(each))) {
          const event = await it[step]();
          const expired =
            late && ['accept', 'reject', 'complete'].includes(step) && allowed(path, false).includes(step);
          expectDenied(event, expired ? Reason.TRANSFER_EXPIRED : Reason.TRANSFER_STATE);
        }
        const ended = path.length > 0 && open.length === 0;
        const again = await it.propose({ transferId: word(`again ${it.name}`) });
        if (ended) expect(again).toMatchObject({ type: 'TransferProposed' });
        else expectDenied(again, Reason.TRANSFER_LIVE);
      }
    }
  });
});
