import type { DataSource } from 'typeorm';
import { describe, expect, it } from 'vitest';
import { createLogger } from '../../../platform/src/logger.js';
import { RpcError } from '../rpc/rpc.error.js';
import { broadcast, verdictOf } from './broadcast.js';
import type { SubmissionNetwork } from './submission.network.js';

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

it('sends in the order given: of one nonce the newest attempt first, or a withdrawn act might be carried out', async () => {
  const sent: string[] = [];
  const reader = {
    sendRaw: async (raws: Buffer[]) => {
      sent.push(...raws.map(String));
      return raws.map(() => ({ value: '0x00' }));
    },
  };
  const dataSource = { driver: { master: { query: async () => ({ rows: [] }) } } } as unknown as DataSource;
  const attempts = ['noop', 'first', 'next'].map((name) => ({ hash: Buffer.alloc(32), raw: Buffer.from(name) }));
  const network = { name: 'local', reader } as unknown as SubmissionNetwork;
  const logger = createLogger('test', 'fatal');
  await broadcast(dataSource, network, { address: Buffer.alloc(20) }, attempts, logger, () => undefined);
  expect(sent).toEqual(['noop', 'first', 'next']);
});
