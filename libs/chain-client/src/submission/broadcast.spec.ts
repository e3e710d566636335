import { describe, expect, it } from 'vitest';
import { RpcError } from '../rpc/rpc.error.js';
import { verdictOf } from './broadcast.js';

const answer = (message: string) => ({
  error: RpcError.fromResponse({ code: -32000, message }, 'eth_sendRawTransaction'),
});

describe('verdictOf', () => {
  it('takes a hash, and a transaction the node has already, for taken', () => {
    expect(verdictOf({ value: '0x00' })).toBe('taken');
    expect(verdictOf(answer('already known'))).toBe('taken');
    expect(verdictOf(answer('transaction already imported'))).toBe('taken');
  });

  it.each([
    'nonce too low: next nonce 5, tx nonce 4',
    'replacement transaction underpriced',
    'txpool is full',
    'something never heard of',
  ])('decides nothing on "%s"', (message) => {
    expect(verdictOf(answer(message))).toBe('undecided');
  });

  it('decides nothing when no answer came', () => {
    const error = new RpcError('late', { code: 'TIMEOUT', retryable: true });
    expect(verdictOf({ error })).toBe('undecided');
  });

  it.each([
    'exceeds block gas limit',
    'insufficient funds for gas * price + value',
    'intrinsic gas too low: have 1, want 21000',
  ])('knows what can never enter a block: "%s"', (message) => {
    expect(verdictOf(answer(message))).toBe('refused');
  });
});
