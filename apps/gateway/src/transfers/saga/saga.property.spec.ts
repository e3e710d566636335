import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { nextIncoming } from './incoming.saga.js';
import { endingOf, nextOutgoing, type OutgoingFacts } from './outgoing.saga.js';
import type { ActState, LedgerState, SagaAct, SagaAction } from './saga.types.js';

const HASH = Buffer.alloc(32, 1);

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
