import { createMPT } from '@ethereumjs/mpt';
import { RLP } from '@ethereumjs/rlp';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { toHex } from '../../platform/src/bytes.js';
import { EMPTY_TRIE_ROOT, orderedTrieRoot } from './ordered-trie.js';
import { integer } from './rlp.js';

async function oracle(values: readonly Uint8Array[]): Promise<string> {
  const trie = await createMPT();
  for (const [index, value] of values.entries()) await trie.put(RLP.encode(integer(index)), value);
  return toHex(trie.root());
}

describe('orderedTrieRoot', () => {
  it('is the well-known root when there is nothing', () => {
    expect(toHex(EMPTY_TRIE_ROOT)).toBe('0x56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421');
    expect(orderedTrieRoot([])).toEqual(EMPTY_TRIE_ROOT);
  });

  it.each([1, 2, 3, 16, 17, 127, 128, 129, 130, 255, 256, 257, 300])(
    'agrees with @ethereumjs/mpt on %i values',
    async (count) => {
      const values = Array.from({ length: count }, (_, index) => Buffer.alloc(1 + ((index * 37) % 90), index + 1));
      expect(toHex(orderedTrieRoot(values))).toBe(await oracle(values));
    },
  );

  it('agrees with @ethereumjs/mpt on any values, embedded nodes included', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.uint8Array({ minLength: 1, maxLength: 80 }), { minLength: 1, maxLength: 160 }),
        async (values) => {
          expect(toHex(orderedTrieRoot(values))).toBe(await oracle(values));
        },
      ),
      { numRuns: 60 },
    );
  });

  it('changes when values are swapped, dropped or altered', () => {
    const values = [1, 2, 3].map((byte) => Buffer.alloc(40, byte));
    const root = toHex(orderedTrieRoot(values));
    expect(toHex(orderedTrieRoot([values[1], values[0], values[2]] as Buffer[]))).not.toBe(root);
    expect(toHex(orderedTrieRoot(values.slice(0, 2)))).not.toBe(root);
    expect(toHex(orderedTrieRoot([values[0], values[1], Buffer.alloc(40, 4)] as Buffer[]))).not.toBe(root);
  });
});
