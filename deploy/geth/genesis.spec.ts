import { describe, expect, it } from 'vitest';
import { cliqueGenesis } from './genesis.js';

const [a, b] = [`0x${'Aa'.repeat(20)}`, `0x${'11'.repeat(20)}`];

describe('a Clique genesis', () => {
  it('names its signers, sorted, between 32 bytes of vanity and 65 of seal', () => {
    const genesis = cliqueGenesis({ chainId: 80, period: 1, signers: [a, b] });
    expect(genesis.extraData).toBe(`0x${'00'.repeat(32)}${'11'.repeat(20)}${'aa'.repeat(20)}${'00'.repeat(65)}`);
  });

  it('stops at Berlin, funds nobody and has room for 60 million gas', () => {
    const genesis = cliqueGenesis({ chainId: 80, period: 0, signers: [a] });
    expect(genesis.config.berlinBlock).toBe(0);
    expect(genesis.config).not.toHaveProperty('londonBlock');
    expect(genesis.alloc).toEqual({});
    expect(Number(genesis.gasLimit)).toBe(60_000_000);
    expect(genesis.config.clique.period).toBe(0);
  });

  it('is the same whatever the order of its signers', () => {
    const one = cliqueGenesis({ chainId: 80, period: 1, signers: [a, b] });
    expect(cliqueGenesis({ chainId: 80, period: 1, signers: [b, a, a] })).toEqual(one);
  });

  it.each([
    { chainId: 80, period: 1, signers: [] },
    { chainId: 80, period: 1, signers: ['0x12'] },
    { chainId: 0, period: 1, signers: [a] },
    { chainId: 80, period: 0.5, signers: [a] },
  ])('refuses %j', (options) => expect(() => cliqueGenesis(options)).toThrow(RangeError));
});
