import { describe, expect, it } from 'vitest';
import { toHex } from '../../platform/src/bytes.js';
import { headerHash } from './header.js';
import { EMPTY_TRIE_ROOT } from './ordered-trie.js';

const hex = (text: string) => Buffer.from(text, 'hex');

// The best-known header there is.
const mainnetGenesis = {
  parentHash: Buffer.alloc(32),
  ommersHash: hex('1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347'),
  beneficiary: Buffer.alloc(20),
  stateRoot: hex('d7f8974fb5ac78d9ac099b9ad5018bedc2ce0a72dad1827a1709da30580f0544'),
  transactionsRoot: EMPTY_TRIE_ROOT,
  receiptsRoot: EMPTY_TRIE_ROOT,
  logsBloom: Buffer.alloc(256),
  difficulty: 17_179_869_184n,
  number: 0n,
  gasLimit: 5_000n,
  gasUsed: 0n,
  timestamp: 0n,
  extraData: hex('11bbe8db4e347b4e8c937c1c8370e4b5ed33adb3db69cbdb7a38e1e50b1b82fa'),
  mixHash: Buffer.alloc(32),
  nonce: hex('0000000000000042'),
};

describe('headerHash', () => {
  it('is the hash everybody knows the block by', () => {
    expect(toHex(headerHash(mainnetGenesis))).toBe(
      '0xd4e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3',
    );
  });

  it('changes with any field, later forks included', () => {
    const known = toHex(headerHash(mainnetGenesis));
    expect(toHex(headerHash({ ...mainnetGenesis, gasUsed: 1n }))).not.toBe(known);
    expect(toHex(headerHash({ ...mainnetGenesis, baseFeePerGas: 0n }))).not.toBe(known);
  });
});
