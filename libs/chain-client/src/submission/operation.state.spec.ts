import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { deriveState, type OperationFacts } from './operation.state.js';

const accepted: OperationFacts = {
  phase: 'accepted',
  failure: null,
  transactionState: null,
  inclusion: null,
  event: null,
  notice: null,
  finalNumber: 10n,
};
const signed: OperationFacts = { ...accepted, phase: 'signed', transactionState: 'signed' };
const success = { blockNumber: 12n, denied: false, reason: 0 };
const inclusion = { blockNumber: 12n, status: 1 };

describe('deriveState', () => {
  it.each([
    ['accepted', accepted],
    ['accepted', { ...signed, transactionState: 'assigned' as const }],
    ['signed', signed],
    ['submitted', { ...signed, transactionState: 'submitted' as const }],
    ['mined', { ...signed, transactionState: 'submitted' as const, inclusion }],
    ['mined', { ...signed, inclusion, event: success }],
    ['confirmed', { ...signed, inclusion, event: success, finalNumber: 12n }],
    ['denied', { ...signed, inclusion, event: { ...success, denied: true, reason: 12 }, finalNumber: 12n }],
    ['failed', { ...signed, inclusion, notice: 'bad-signature' as const, finalNumber: 12n }],
    ['mined', { ...signed, inclusion, notice: 'mismatch' as const }],
    ['cancelled', { ...accepted, phase: 'cancelled' as const }],
    ['failed', { ...accepted, phase: 'failed' as const, failure: { code: 'DEADLINE_PASSED' as const } }],
    ['accepted', { ...accepted, transactionState: 'reverted' as const, inclusion: { ...inclusion, status: 0 } }],
  ])('is %s', (state, facts) => {
    expect(deriveState(facts).state).toBe(state);
  });

  it('names the reason of a refusal and of a failure', () => {
    const denied = { ...signed, inclusion, event: { ...success, denied: true, reason: 12 }, finalNumber: 12n };
    expect(deriveState(denied).outcome).toEqual({ code: 'NO_RELATION' });
    const failed = { ...accepted, phase: 'failed' as const, failure: { code: 'REVERTED' as const, detail: 'x' } };
    expect(deriveState(failed).outcome).toEqual({ code: 'REVERTED', detail: 'x' });
  });

  it('never takes back what was final, whatever else changes and however far the chain goes on', () => {
    const facts = fc.record({
      phase: fc.constantFrom('accepted' as const, 'signed' as const, 'failed' as const, 'cancelled' as const),
      failure: fc.constant(null),
      transactionState: fc.constantFrom(
        null,
        'assigned' as const,
        'signed' as const,
        'submitted' as const,
        'final' as const,
        'reverted' as const,
        'noop' as const,
      ),
      inclusion: fc.constantFrom(null, inclusion),
      event: fc.record({
        blockNumber: fc.bigInt({ min: 0n, max: 20n }),
        denied: fc.boolean(),
        reason: fc.integer({ min: 1, max: 32 }),
      }),
      notice: fc.constant(null),
      finalNumber: fc.bigInt({ min: 20n, max: 40n }),
    });
    fc.assert(
      fc.property(facts, facts, (now, later) => {
        expect(deriveState({ ...later, event: now.event })).toEqual(deriveState(now));
      }),
    );
  });
});
