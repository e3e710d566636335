import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { nextIncoming } from './incoming.saga.js';
import { endingOf, nextOutgoing, type OutgoingFacts } from './outgoing.saga.js';
import { observe } from './saga.facts.js';
import type { ActTrace } from './saga.store.js';
import type { ActState, LedgerState, SagaAct, SagaAction } from './saga.types.js';

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

type Side = 'source' | 'destination';

/** Both ledgers, both gateways' tables and the wire between them, as small as they can be and still go wrong. */
class World {
  frozen = true;
  published = false;
  /** Of the acting clinician, on the global ledger. */
  related: boolean;
  state?: LedgerState;
  acceptedHash?: Buffer;
  overdue = false;
  opened = 0;
  packageHash?: Buffer;
  receivedHash?: Buffer;
  delivered = false;
  /** Whoever began at this side was suspended. Who takes over is not. */
  readonly suspended = { source: false, destination: false };
  readonly takeovers = { source: 0, destination: 0 };
  withdrawn = false;
  readonly effects: Record<string, number> = {};
  /** Accepted acts under their request ids (name, and how often the side was taken over), and what the ledger said. */
  readonly acts = new Map<string, ActState>();
  readonly #signed = new Map<string, 'beginner' | 'taker'>();

  constructor(related: boolean) {
    this.related = related;
  }

  /** Accepting an act twice changes nothing: the request id is the same. */
  accept(act: string, side: Side): void {
    const id = this.#idOf(act, side);
    if (this.acts.has(id)) return;
    this.acts.set(id, 'pending');
    this.#signed.set(id, this.takeovers[side] > 0 ? 'taker' : 'beginner');
  }

  /** The ledger decides pending acts of this name, by the rules of the contract. */
  decide(act: string): void {
    for (const [id, state] of this.acts) {
      if (state !== 'pending' || id.split('/')[0] !== act) continue;
      const allowed = this.#mayAct(act, id) && this.apply(act);
      this.acts.set(id, allowed ? 'confirmed' : 'denied');
      if (allowed) this.effects[act] = (this.effects[act] ?? 0) + 1;
    }
  }

  #mayAct(act: string, id: string): boolean {
    // Published and related with the publisher's key; withdrawn, and taken over, by an officer.
    if (act === 'relate' || act === 'withdraw' || this.#signed.get(id) === 'taker') return true;
    const side = ['accept', 'reject', 'open'].includes(act) ? 'destination' : 'source';
    return !this.suspended[side];
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
      case 'relate':
        this.related = true;
        return true;
      case 'propose':
        // Never of a record that is not frozen: the global ledger can't see that, the saga must.
        expect(this.frozen).toBe(true);
        if (this.state || !this.published || !this.related) return false;
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
        if (this.opened > 0) return false;
        this.opened++;
        return true;
      default:
        throw new Error(act);
    }
  }

  #idOf(act: string, side: Side): string {
    for (let taken = 0; taken < this.takeovers[side]; taken++) {
      const state = this.acts.get(`${act}/${taken}`);
      if (state !== 'denied' || !['complete', 'expire', 'unfreeze', 'open'].includes(act)) return `${act}/${taken}`;
    }
    return `${act}/${this.takeovers[side]}`;
  }

  act(name: SagaAct | 'accept', side: Side): ActState {
    return this.acts.get(this.#idOf(name, side)) ?? 'none';
  }

  sourceFacts(): OutgoingFacts {
    const act = (name: SagaAct) => this.act(name, 'source');
    return {
      freeze: 'confirmed',
      publication: this.published ? 'current' : 'missing',
      publish: act('publish'),
      unrelated: !this.related,
      relate: act('relate'),
      propose: act('propose'),
      withdrawn: this.withdrawn,
      ...this.transfer(),
      delivered: this.delivered,
      ...(this.packageHash ? { packageHash: this.packageHash } : {}),
      complete: act('complete'),
      expire: act('expire'),
      unfreeze: act('unfreeze'),
      frozen: this.frozen,
    };
  }

  outgoing(): SagaAction {
    return nextOutgoing(this.sourceFacts());
  }

  incoming(): SagaAction {
    return nextIncoming({
      ...this.transfer(),
      received: this.receivedHash !== undefined,
      late: true,
      acceptance: this.act('accept', 'destination'),
      open: this.act('open', 'destination'),
    });
  }

  /** A clock that was ahead had an expiry refused: the next try is another act. */
  forgetEarlyExpiry(): void {
    for (const [id, state] of this.acts) {
      if (id.startsWith('expire/') && state === 'denied' && !this.suspended.source) this.acts.delete(id);
    }
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
  | 'unrelated'
  | 'source-suspended'
  | 'destination-suspended'
  | 'officer'
  | 'colleague'
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
      if (action.do === 'act') world.accept(action.act, 'source');
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
      if (action.do === 'act') world.accept(action.act, 'destination');
      if (action.do === 'fetch' && world.packageHash) world.receivedHash = world.packageHash;
      return;
    }
    case 'accept':
      if (world.receivedHash) world.accept('accept', 'destination');
      return;
    case 'reject':
      if (world.state) world.accept('reject', 'destination');
      return;
    case 'withdraw':
      if (world.state) world.accept('withdraw', 'source');
      return;
    case 'overdue':
      world.overdue = true;
      return;
    case 'unrelated':
      world.related = false;
      return;
    case 'source-suspended':
      world.suspended.source = true;
      return;
    case 'destination-suspended':
      world.suspended.destination = true;
      return;
    case 'officer': {
      const ending = endingOf(world.sourceFacts());
      if (ending === 'later' || ending === 'ended') return;
      world.takeovers.source++;
      world.withdrawn = true;
      world.accept(ending === 'cancel' ? 'withdraw' : 'unfreeze', 'source');
      return;
    }
    case 'colleague':
      if (world.state !== 'completed' || world.act('open', 'destination') !== 'denied') return;
      world.takeovers.destination++;
      world.accept('open', 'destination');
      return;
  }
}

const acts = ['publish', 'relate', 'propose', 'accept', 'reject', 'withdraw', 'complete', 'expire', 'unfreeze', 'open'];
const event: fc.Arbitrary<Event> = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom<Event>('source', 'destination') },
  { weight: 8, arbitrary: fc.constantFrom(...acts).map((decide) => ({ decide })) },
  {
    weight: 3,
    arbitrary: fc.constantFrom<Event>('source-killed', 'destination-killed', 'ack-lost', 'accept'),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom<Event>(
      ...(['reject', 'withdraw', 'overdue', 'unrelated', 'officer', 'colleague'] as const),
      ...(['source-suspended', 'destination-suspended'] as const),
    ),
  },
);

describe('a transfer through any order of kills, losses and decisions', () => {
  it('ends on both sides, unfrozen, with one effect for each act, and a copy exactly when it was completed', () => {
    const outcomes = new Set<string>();
    let takenOver = 0;
    const history = fc.record({
      events: fc.array(event, { maxLength: 80, size: 'max' }),
      eager: fc.boolean(),
      related: fc.boolean(),
    });
    fc.assert(
      fc.property(history, ({ events, eager, related }) => {
        const world = new World(related);
        for (const each of events) play(world, each);
        // From here on nothing is killed and the ledger decides all; time runs out for what nobody answers.
        for (let round = 0; round < 60; round++) {
          for (const act of acts) world.decide(act);
          if (eager && round === 3) play(world, 'accept');
          if (round === 20) world.overdue = true;
          world.forgetEarlyExpiry();
          play(world, 'source');
          play(world, 'destination');
          // What nobody suspended may be left with, somebody takes over.
          if (round > 30 && world.suspended.source && world.outgoing().do === 'end') play(world, 'officer');
          if (round > 30 && world.suspended.destination) play(world, 'colleague');
        }
        expect(world.outgoing()).toEqual({ do: 'end', step: 'done' });
        expect(world.frozen).toBe(false);
        expect(world.opened).toBe(world.state === 'completed' ? 1 : 0);
        for (const count of Object.values(world.effects)) expect(count).toBe(1);
        if (world.state) expect(world.incoming()).toMatchObject({ do: 'end', step: 'done' });
        outcomes.add(world.state ?? 'never proposed');
        if (world.takeovers.source > 0) takenOver++;
      }),
      { numRuns: 1000, seed: 26 },
    );
    for (const reached of ['completed', 'rejected', 'cancelled', 'expired', 'never proposed']) {
      expect(outcomes).toContain(reached);
    }
    expect(takenOver).toBeGreaterThan(50);
  });
});
