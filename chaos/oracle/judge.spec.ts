import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { decodeEvent } from '../../libs/contracts/src/event.codec.js';
import type { Act } from '../client/load.js';
import { type History, readHistory } from './history.js';
import { type Allowances, type FindingKind, judge } from './judge.js';

/** A short history as a run left it: every fact read from a real node and database, every act as clients were told. */
const history = readFileSync(new URL('./history.jsonl', import.meta.url), 'utf8');

/** Kinds of findings once something was done to the history. */
function kinds(tamper: (history: History) => void, allow: Allowances = {}): Set<FindingKind> {
  const copy = readHistory(history);
  tamper(copy);
  return new Set(judge(copy.facts, copy.acts, allow).map(({ kind }) => kind));
}

const actOf = ({ acts }: History, kind: Act['kind']) => {
  const act = acts.find((one) => one.kind === kind);
  if (!act?.requestId) throw new Error(`the history has no ${kind}`);
  return act;
};
const logIndexOf = ({ facts }: History, act: Act) =>
  facts.logs.findIndex((log) => {
    const event = decodeEvent(log);
    return event && 'requestId' in event && `0x${event.requestId.toString('hex')}` === act.requestId;
  });

describe('the oracle', () => {
  it('finds nothing in a history in which all went well, with acts of each kind in it', () => {
    expect([...kinds(() => undefined)]).toEqual([]);
    const { acts, facts } = readHistory(history);
    expect([...new Set(acts.map(({ kind }) => kind))].sort()).toEqual(['open', 'query', 'refused']);
    expect(facts.sent.length).toBeGreaterThan(10);
  });

  it.each<[string, (history: History) => void, FindingKind]>([
    [
      'an event that is there twice',
      (h) => {
        const at = logIndexOf(h, actOf(h, 'query'));
        h.facts.logs.push(h.facts.logs[at]!);
      },
      'doubled',
    ],
    [
      'an event that is missing from the chain though a client was told of it',
      (h) => void h.facts.logs.splice(logIndexOf(h, actOf(h, 'query')), 1),
      'taken-back',
    ],
    [
      'an act accepted and never carried out',
      (h) => {
        const act = actOf(h, 'query');
        act.state = 'accepted';
        act.requestId = `0x${'ab'.repeat(32)}`;
      },
      'lost',
    ],
    [
      'a stored operation without an event',
      (h) => void h.facts.operations.push({ ...h.facts.operations[0]!, request_id: Buffer.alloc(32, 7) }),
      'lost',
    ],
    [
      'an event nobody asked for',
      (h) => {
        const { requestId } = actOf(h, 'query');
        h.facts.operations = h.facts.operations.filter((row) => `0x${row.request_id.toString('hex')}` !== requestId);
      },
      'other',
    ],
    [
      'an act called confirmed that is not on the chain',
      (h) => {
        actOf(h, 'query').requestId = `0x${'cd'.repeat(32)}`;
      },
      'taken-back',
    ],
    [
      'an act called failed that is on the chain',
      (h) => {
        actOf(h, 'query').state = 'failed';
      },
      'taken-back',
    ],
    [
      'a refusal told as a confirmation',
      (h) => {
        actOf(h, 'refused').state = 'confirmed';
      },
      'other',
    ],
    [
      'an act told of the event of another one',
      (h) => {
        actOf(h, 'open').event = 'ev_local_1';
      },
      'taken-back',
    ],
    [
      'an act that never ended',
      (h) => {
        actOf(h, 'open').state = 'submitted';
      },
      'stuck',
    ],
    ['a nonce that no transaction of the chain has', (h) => void h.facts.sent.splice(5, 1), 'nonces'],
    ['a nonce that is stored nowhere', (h) => void h.facts.transactions.splice(5, 1), 'nonces'],
    [
      'a nonce used by bytes that are not ours',
      (h) => {
        h.facts.transactions[5]!.hashes = [Buffer.alloc(32, 9)];
      },
      'nonces',
    ],
    [
      'a transaction that mined with status 0',
      (h) => {
        h.facts.sent[5]!.status = 0;
      },
      'other',
    ],
    [
      'a transaction left in the pool',
      (h) => {
        h.facts.pooled = 1;
      },
      'stuck',
    ],
    [
      'a signer that stands still',
      (h) => {
        h.facts.signer!.state = 'quarantined';
      },
      'stuck',
    ],
    ['an event that the mirror lacks', (h) => void h.facts.events.splice(3, 1), 'mirror'],
    [
      'an event that reads otherwise in the mirror, by one bit',
      (h) => {
        h.facts.events[7]!.data[40]! ^= 1;
      },
      'mirror',
    ],
    [
      'a mirror behind the chain',
      (h) => {
        h.facts.tip.number += 1n;
      },
      'mirror',
    ],
    [
      'a chain replaced beyond finality',
      (h) => void h.facts.reorganisations.push({ depth: 3, beyond_finality: true }),
      'taken-back',
    ],
    [
      'a block taken back',
      (h) => void h.facts.reorganisations.push({ depth: 1, beyond_finality: false }),
      'taken-back',
    ],
  ])('objects to %s', (_, tamper, kind) => {
    expect(kinds(tamper)).toContain(kind);
  });

  it('takes what a scenario brings about on purpose for no finding, and nothing beside it', () => {
    const takeBack = (h: History) => void h.facts.reorganisations.push({ depth: 1, beyond_finality: false });
    expect([...kinds(takeBack, { reorganisations: true })]).toEqual([]);
    const fail = (h: History) => {
      const act = actOf(h, 'query');
      h.acts.push({ ...act, key: 'late', requestId: `0x${'ef'.repeat(32)}`, state: 'failed', code: 'DEADLINE_PASSED' });
    };
    expect([...kinds(fail, { failures: ['DEADLINE_PASSED'] })]).toEqual([]);
    expect([...kinds(fail, { failures: ['REVERTED'] })]).toEqual(['lost']);
    const twice = (h: History) => void h.facts.logs.push(h.facts.logs[logIndexOf(h, actOf(h, 'query'))]!);
    const everything = {
      reorganisations: true,
      beyondFinality: true,
      restored: true,
      reverts: true,
      foreign: new Set<string>(),
    };
    expect(kinds(twice, everything)).toContain('doubled');
  });
});
