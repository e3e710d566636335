import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { nextIncoming } from './incoming.saga.js';
import { nextOutgoing, type OutgoingFacts } from './outgoing.saga.js';
import type { ActState, LedgerState, SagaAct, SagaAction } from './saga.types.js';

const HASH = Buffer.alloc(32, 1);
const idle: OutgoingFacts = {
  freeze: 'confirmed',
  publication: 'missing',
  publish: 'none',
  propose: 'none',
  delivered: false,
  complete: 'none',
  expire: 'none',
  unfreeze: 'none',
};
const on = (state: LedgerState, over: object = {}) => ({ state, final: true, overdue: false, ...over });

describe('the source of a transfer', () => {
  it.each<[string, Partial<OutgoingFacts>, SagaAction]>([
    ['waits for the freeze', { freeze: 'pending' }, { do: 'wait', step: 'freezing' }],
    ['ends when the freeze was denied', { freeze: 'denied' }, { do: 'end', step: 'failed', reason: 'freeze denied' }],
    ['publishes the record', {}, { do: 'act', act: 'publish', step: 'publishing' }],
    ['proposes a published record', { publication: 'current' }, { do: 'act', act: 'propose', step: 'proposing' }],
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

/** Both ledgers, both gateways' tables and the wire between them, as small as they can be and still go wrong. */
class World {
  frozen = true;
  published = false;
  state?: LedgerState;
  acceptedHash?: Buffer;
  overdue = false;
  opened = 0;
  packageHash?: Buffer;
  receivedHash?: Buffer;
  delivered = false;
  readonly effects: Record<string, number> = {};
  /** Accepted acts by side, and what the ledger said. Accepting one twice changes nothing: the request id is the same. */
  readonly acts = new Map<string, ActState>();

  accept(act: string): void {
    if (!this.acts.has(act)) this.acts.set(act, 'pending');
  }

  /** The ledger decides a pending act, by the rules of the contract. */
  decide(act: string): void {
    if (this.acts.get(act) !== 'pending') return;
    const allowed = this.apply(act);
    this.acts.set(act, allowed ? 'confirmed' : 'denied');
    if (allowed) this.effects[act] = (this.effects[act] ?? 0) + 1;
  }

  private apply(act: string): boolean {
    const move = (from: LedgerState[], to: LedgerState) => {
      if (!this.state || !from.includes(this.state)) return false;
      this.state = to;
      return true;
    };
    switch (act) {
      case 'publish':
        this.published = true;
        return true;
      case 'propose':
        if (this.state || !this.published || !this.frozen) return false;
        this.state = 'proposed';
        return true;
      case 'accept':
        this.acceptedHash = this.receivedHash;
        return this.receivedHash !== undefined && !this.overdue && move(['proposed'], 'accepted');
      case 'reject':
        return move(['proposed'], 'rejected');
      case 'withdraw':
        return move(['proposed'], 'cancelled');
      case 'complete':
        return !this.overdue && move(['accepted'], 'completed');
      case 'expire':
        return this.overdue && move(['proposed', 'accepted'], 'expired');
      case 'unfreeze':
        if (!this.frozen || this.state === 'proposed' || this.state === 'accepted') return false;
        this.frozen = false;
        return true;
      case 'open':
        this.opened++;
        return true;
      default:
        throw new Error(act);
    }
  }

  act(name: SagaAct | 'accept'): ActState {
    return this.acts.get(name) ?? 'none';
  }

  outgoing(): SagaAction {
    return nextOutgoing({
      freeze: 'confirmed',
      publication: this.published ? 'current' : 'missing',
      publish: this.act('publish'),
      propose: this.act('propose'),
      ...this.transfer(),
      delivered: this.delivered,
      ...(this.packageHash ? { packageHash: this.packageHash } : {}),
      complete: this.act('complete'),
      expire: this.act('expire') === 'denied' ? 'none' : this.act('expire'),
      unfreeze: this.act('unfreeze'),
    });
  }

  incoming(): SagaAction {
    return nextIncoming({
      ...this.transfer(),
      received: this.receivedHash !== undefined,
      late: true,
      acceptance: this.act('accept'),
      open: this.act('open'),
    });
  }

  private transfer() {
    if (!this.state) return {};
    const packageHash = this.acceptedHash ? { packageHash: this.acceptedHash } : {};
    return { transfer: { state: this.state, final: true, overdue: this.overdue, ...packageHash } };
  }
}

type Event =
  | 'source'
  | 'source-killed'
  | 'destination'
  | 'destination-killed'
  | 'ack-lost'
  | 'accept'
  | 'reject'
  | 'withdraw'
  | 'overdue'
  | { decide: string };

function play(world: World, event: Event): void {
  if (typeof event === 'object') {
    world.decide(event.decide);
    return;
  }
  switch (event) {
    case 'source':
    case 'ack-lost':
    case 'source-killed': {
      const action = world.outgoing();
      // Killed after looking and before doing: nothing of it may matter.
      if (event === 'source-killed') return;
      if (action.do === 'act') world.accept(action.act);
      if (action.do === 'deliver') {
        world.packageHash ??= HASH;
        world.receivedHash = world.packageHash;
        if (event !== 'ack-lost') world.delivered = true;
      }
      return;
    }
    case 'destination':
    case 'destination-killed': {
      const action = world.incoming();
      if (event === 'destination-killed') return;
      if (action.do === 'act') world.accept(action.act);
      if (action.do === 'fetch' && world.packageHash) world.receivedHash = world.packageHash;
      return;
    }
    case 'accept':
      if (world.receivedHash) world.accept('accept');
      return;
    case 'reject':
    case 'withdraw':
      if (world.state) world.accept(event);
      return;
    case 'overdue':
      world.overdue = true;
      return;
  }
}

const acts = ['publish', 'propose', 'accept', 'reject', 'withdraw', 'complete', 'expire', 'unfreeze', 'open'];
const event: fc.Arbitrary<Event> = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom<Event>('source', 'destination') },
  { weight: 8, arbitrary: fc.constantFrom(...acts).map((decide) => ({ decide })) },
  {
    weight: 3,
    arbitrary: fc.constantFrom<Event>('source-killed', 'destination-killed', 'ack-lost', 'accept'),
  },
  { weight: 1, arbitrary: fc.constantFrom<Event>('reject', 'withdraw', 'overdue') },
);

describe('a transfer through any order of kills, losses and decisions', () => {
  it('ends on both sides, unfrozen, with one effect for each act, and a copy exactly when it was completed', () => {
    const outcomes = new Set<string>();
    fc.assert(
      fc.property(fc.array(event, { maxLength: 80, size: 'max' }), fc.boolean(), (events, eager) => {
        const world = new World();
        for (const each of events) play(world, each);
        // From here on nothing is killed and the ledger decides all; time runs out for what nobody answers.
        for (let round = 0; round < 40; round++) {
          for (const act of acts) world.decide(act);
          if (eager && round === 3) play(world, 'accept');
          if (round === 20) world.overdue = true;
          if (world.acts.get('expire') === 'denied') world.acts.delete('expire');
          play(world, 'source');
          play(world, 'destination');
        }
        expect(world.outgoing()).toEqual({ do: 'end', step: 'done' });
        expect(world.frozen).toBe(false);
        expect(world.opened).toBe(world.state === 'completed' ? 1 : 0);
        for (const count of Object.values(world.effects)) expect(count).toBe(1);
        if (world.state) expect(world.incoming()).toMatchObject({ do: 'end', step: 'done' });
        outcomes.add(world.state ?? 'never proposed');
      }),
      { numRuns: 1500, seed: 26 },
    );
    for (const reached of ['completed', 'rejected', 'cancelled', 'expired']) expect(outcomes).toContain(reached);
  });
});
