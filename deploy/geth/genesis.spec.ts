import { describe, expect, it } from 'vitest';
import { genesisFrom } from './commands/genesis.command.js';
import { UsageError } from './commands/usage.error.js';
import { cliqueGenesis, consensusOf, genesisHash, paperGenesis, powGenesis, signerCount } from './genesis.js';

const [a, b] = [`0x${'Aa'.repeat(20)}`, `0x${'11'.repeat(20)}`];

describe('a Clique genesis', () => {
  it('names its signers, sorted, between 32 bytes of vanity and 65 of seal', () => {
    const genesis = cliqueGenesis({ chainId: 80, period: 1, signers: [a, b] });
    expect(genesis.extraData).toBe(`0x${'00'.repeat(32)}${'11'.repeat(20)}${'aa'.repeat(20)}${'00'.repeat(65)}`);
    expect(signerCount(genesis)).toBe(2);
  });

  it('stops at Berlin, funds nobody and has room for 60 million gas', () => {
    const genesis = cliqueGenesis({ chainId: 80, period: 0, signers: [a] });
    expect(genesis.config.berlinBlock).toBe(0);
    expect(genesis.config).not.toHaveProperty('londonBlock');
    expect(genesis.alloc).toEqual({});
    expect(Number(genesis.gasLimit)).toBe(60_000_000);
    expect(genesis.config.clique.period).toBe(0);
    expect(consensusOf(genesis)).toBe('clique');
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
    { chainId: 80, period: 0, signers: [a], gasLimit: 4_999 },
    { chainId: 80, period: 0, signers: [a], alloc: { '0x12': { balance: '1' } } },
    { chainId: 80, period: 0, signers: [a], alloc: { [a]: { balance: '-1' } } },
  ])('refuses %j', (options) => expect(() => cliqueGenesis(options)).toThrow(RangeError));
});

describe('a proof-of-work genesis', () => {
  it('has the difficulty asked for and the forks that the contract needs', () => {
    const genesis = powGenesis({ chainId: 81, difficulty: 500_000 });
    expect(Number(genesis.difficulty)).toBe(500_000);
    expect(genesis.config).toMatchObject({ chainId: 81, berlinBlock: 0 });
    expect(consensusOf(genesis)).toBe('pow');
    expect(signerCount(genesis)).toBe(0);
  });

  it('refuses a difficulty that no block after it could have', () =>
    expect(() => powGenesis({ chainId: 81, difficulty: 0x200 })).toThrow('131072'));

  it("is, as the paper's, what the paper says, and its hash is known", () => {
    expect(paperGenesis()).toMatchObject({
      ...{ nonce: '0x0000000000000042', gasLimit: '0x2fef8', difficulty: '0x200', alloc: {} },
      ...{ config: { chainId: 80, eip150Block: 0, eip155Block: 0, eip158Block: 0 } },
    });
    expect(paperGenesis().config).not.toHaveProperty('byzantiumBlock');
    expect(genesisHash(paperGenesis())).toMatch(/^0x[0-9a-f]{64}$/);
    expect(() => genesisHash(paperGenesis({ [a]: { balance: '1' } }))).toThrow('only a node');
  });
});

describe('the options of a genesis', () => {
  const clique = { 'chain-id': '80', consensus: 'clique', signers: `${a},${b}` };
  const pow = { 'chain-id': '81', consensus: 'pow' };

  it('make the genesis that the functions make', () => {
    expect(genesisFrom({ ...clique, period: '5' })).toEqual(cliqueGenesis({ chainId: 80, period: 5, signers: [a, b] }));
    expect(genesisFrom({ ...pow, difficulty: '0x40000', 'gas-limit': '30000000', alloc: `${b}=7` })).toEqual(
      powGenesis({ chainId: 81, difficulty: 262_144, gasLimit: 30_000_000, alloc: { [b]: { balance: '7' } } }),
    );
    expect(genesisFrom({ variant: 'paper' })).toEqual(paperGenesis());
  });

  it.each([
    ['--chain-id is missing', { consensus: 'pow' }],
    ['--consensus is missing', { 'chain-id': '80' }],
    ['--consensus takes clique or pow, not "poa"', { ...pow, consensus: 'poa' }],
    ['--chain-id takes a whole number from 1', { ...pow, 'chain-id': '-1' }],
    ['--signers is missing', { ...clique, signers: undefined }],
    ['--signers: "0x12" is no address', { ...clique, signers: '0x12' }],
    ['--period takes a whole number from 0', { ...clique, period: '1.5' }],
    ['--difficulty has no place here', { ...clique, difficulty: '2' }],
    ['--signers has no place here', { ...pow, signers: a }],
    ['--difficulty takes a whole number from 131072', { ...pow, difficulty: '512' }],
    ['--gas-limit takes a whole number from 5000', { ...pow, 'gas-limit': '12' }],
    ['--alloc: "0x12" is no address', { ...pow, alloc: '0x12=5' }],
    ['is no ADDRESS=WEI', { ...pow, alloc: `${a}=much` }],
    ['--variant takes paper', { variant: 'other' }],
    ['--gas-limit has no place here: the paper', { variant: 'paper', 'gas-limit': '60000000' }],
  ])('%s', (message, options) => {
    expect(() => genesisFrom(options)).toThrow(message);
    expect(() => genesisFrom(options)).toThrow(UsageError);
  });
});
