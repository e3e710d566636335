import { describe, expect, it } from 'vitest';
import { nextIncoming } from './incoming.saga.js';
import { endingOf, nextOutgoing, type OutgoingFacts } from './outgoing.saga.js';
import { observe } from './saga.facts.js';
import type { ActTrace } from './saga.store.js';
import type { LedgerState, SagaAction } from './saga.types.js';

const HASH = Buffer.alloc(32, 1);
const idle: OutgoingFacts = {
  freeze: 'confirmed',
  publication: 'missing',
  publish: 'none',
  unrelated: false,
  relate: 'none',
  propose: 'none',
  withdrawn: false,
  delivered: false,
  complete: 'none',
  expire: 'none',
  unfreeze: 'none',
  frozen: true,
};
const on = (state: LedgerState, over: object = {}) => ({ state, final: true, overdue: false, ...over });

describe('the source of a transfer', () => {
  it.each<[string, Partial<OutgoingFacts>, SagaAction]>([
    ['waits for the freeze', { freeze: 'pending' }, { do: 'wait', step: 'freezing' }],
    ['ends when the freeze was denied', { freeze: 'denied' }, { do: 'end', step: 'failed', reason: 'freeze denied' }],
    ['publishes the record', {}, { do: 'act', act: 'publish', step: 'publishing' }],
    ['proposes a published record', { publication: 'current' }, { do: 'act', act: 'propose', step: 'proposing' }],
    [
      'has the actor related to a record that somebody else published',
      { publication: 'current', unrelated: true },
      { do: 'act', act: 'relate', step: 'relating' },
    ],
    [
      'publishes before it relates',
      { publication: 'missing', unrelated: true },
      { do: 'act', act: 'publish', step: 'publishing' },
    ],
    [
      'waits for the relation',
      { publication: 'current', unrelated: true, relate: 'pending' },
      { do: 'wait', step: 'relating' },
    ],
    [
      'unfreezes when the relation was denied',
      { publication: 'current', unrelated: true, relate: 'denied' },
      { do: 'act', act: 'unfreeze', step: 'unfreezing', outcome: 'cancelled' },
    ],
    [
      'lets the ledger refuse when the relation has ended again',
      { publication: 'current', unrelated: true, relate: 'confirmed' },
      { do: 'act', act: 'propose', step: 'proposing' },
    ],
    [
      'does not propose what a records officer called off',
      { publication: 'current', withdrawn: true },
      { do: 'act', act: 'unfreeze', step: 'unfreezing', outcome: 'cancelled' },
    ],
    [
      'is done when the record turns out not to be frozen any more',
      { transfer: on('expired'), unfreeze: 'denied', frozen: false },
      { do: 'end', step: 'done' },
    ],
    [
      'unfreezes when the proposal was denied',
      { propose: 'denied' },
      { do: 'act', act: 'unfreeze', step: 'unfreezing', outcome: 'cancelled' },
    ],
    [
      'unfreezes when a later version is already published',
      { publication: 'ahead' },
      { do: 'act', act: 'unfreeze', step: 'unfreezing', outcome: 'cancelled' },
    ],
    [
      'does not propose what it began to unfreeze',
      { publication: 'current', unfreeze: 'pending' },
      { do: 'wait', step: 'unfreezing' },
    ],
    ['delivers once proposed', { transfer: on('proposed') }, { do: 'deliver', step: 'delivering' }],
    [
      'lets nothing follow from a state that is not final',
      { transfer: on('accepted', { final: false }) },
      { do: 'wait', step: 'awaiting-acceptance' },
    ],
    [
      'expires an overdue proposal',
      { transfer: on('proposed', { overdue: true }) },
      { do: 'act', act: 'expire', step: 'expiring' },
    ],
    [
      'completes what was accepted as sent',
      { transfer: on('accepted', { packageHash: HASH }), packageHash: HASH },
      { do: 'act', act: 'complete', step: 'completing' },
    ],
    [
      'never completes what was accepted otherwise',
      { transfer: on('accepted', { packageHash: Buffer.alloc(32) }), packageHash: HASH },
      { do: 'wait', step: 'completing' },
    ],
    [
      'lets time end what it may not complete',
      { transfer: on('accepted', { packageHash: HASH, overdue: true }), packageHash: HASH, complete: 'denied' },
      { do: 'act', act: 'expire', step: 'expiring' },
    ],
    [
      'unfreezes a rejected one',
      { transfer: on('rejected') },
      { do: 'act', act: 'unfreeze', step: 'unfreezing', outcome: 'rejected' },
    ],
    ['is done when unfrozen', { transfer: on('expired'), unfreeze: 'confirmed' }, { do: 'end', step: 'done' }],
    [
      'says when it can do nothing more',
      { transfer: on('completed'), unfreeze: 'denied' },
      { do: 'end', step: 'failed', reason: 'unfreeze denied' },
    ],
  ])('%s', (_, over, action) => expect(nextOutgoing({ ...idle, ...over })).toEqual(action));
});

describe('how a records officer ends a transfer', () => {
  it.each<[string, Partial<OutgoingFacts>, ReturnType<typeof endingOf>]>([
    ['waits for the freeze', { freeze: 'pending' }, 'later'],
    ['leaves what was never frozen', { freeze: 'denied', frozen: false }, 'ended'],
    ['unfreezes what is not proposed', { publish: 'pending' }, 'unfreeze'],
    ['waits for a proposal under way', { propose: 'pending' }, 'later'],
    ['waits for a proposal that the mirror is about to show', { propose: 'confirmed' }, 'later'],
    ['unfreezes what could not be proposed', { propose: 'denied', unfreeze: 'denied' }, 'unfreeze'],
    ['cancels what is offered', { transfer: on('proposed', { final: false }) }, 'cancel'],
    ['takes over what is accepted', { transfer: on('accepted') }, 'cancel'],
    ['waits until an end is final', { transfer: on('expired', { final: false }) }, 'later'],
    ['unfreezes what was left frozen', { transfer: on('expired'), unfreeze: 'denied' }, 'unfreeze'],
    ['waits for an unfreezing under way', { transfer: on('expired'), unfreeze: 'pending' }, 'later'],
    ['leaves what has ended', { transfer: on('completed'), unfreeze: 'confirmed', frozen: false }, 'ended'],
  ])('%s', (_, over, ending) => expect(endingOf({ ...idle, ...over })).toBe(ending));
});

describe('acts that are tried again', () => {
  const ids = Array.from({ length: 4 }, (_, index) => Buffer.from([index]));
  const trace = (over: Partial<ActTrace>) => ({ phase: 'signed', outcome: null, final: true, ...over }) as ActTrace;
  const seen = (...traces: (ActTrace | undefined)[]) => observe(ids, (id) => traces[id[0]!], 2);

  it('speak for themselves once they are neither withdrawn nor refused to somebody before', () => {
    const refused = trace({ outcome: 5 });
    const withdrawn = trace({ phase: 'cancelled' });
    expect(seen()).toMatchObject({ state: 'none', requestId: ids[0] });
    expect(seen(refused, withdrawn)).toMatchObject({ state: 'none', requestId: ids[2] });
    expect(seen(refused, withdrawn, refused)).toMatchObject({ state: 'denied', requestId: ids[2] });
    expect(seen(withdrawn, trace({}))).toMatchObject({ state: 'pending', requestId: ids[1] });
    expect(seen(refused, trace({ outcome: 0 }))).toMatchObject({ state: 'confirmed', requestId: ids[1] });
    expect(seen(trace({ outcome: 0, final: false }))).toMatchObject({ state: 'pending' });
    expect(seen(withdrawn, withdrawn, withdrawn, withdrawn)).toMatchObject({ state: 'failed' });
  });
});

describe('the destination of a transfer', () => {
  it('opens only what was completed, and only once', () => {
    const facts = { received: true, late: false, acceptance: 'confirmed' as const };
    for (const state of ['proposed', 'accepted', 'rejected', 'cancelled', 'expired'] as const) {
      expect(nextIncoming({ ...facts, transfer: on(state), open: 'none' }).do).not.toBe('act');
    }
    expect(nextIncoming({ ...facts, transfer: on('completed', { final: false }), open: 'none' }).do).toBe('wait');
    expect(nextIncoming({ ...facts, transfer: on('completed'), open: 'none' })).toMatchObject({ act: 'open' });
    expect(nextIncoming({ ...facts, transfer: on('completed'), open: 'pending' })).toMatchObject({ do: 'wait' });
    expect(nextIncoming({ ...facts, transfer: on('completed'), open: 'confirmed' })).toMatchObject({ step: 'done' });
  });

  it('asks for a package that never came', () => {
    const facts = { received: false, late: true, acceptance: 'none' as const, open: 'none' as const };
    expect(nextIncoming({ ...facts, transfer: on('proposed') }).do).toBe('fetch');
    expect(nextIncoming({ ...facts, late: false, transfer: on('proposed') }).do).toBe('wait');
    expect(nextIncoming({ ...facts, transfer: on('completed') }).do).toBe('fetch');
  });
});
