import { createMPT, verifyMPTWithMerkleProof } from '@ethereumjs/mpt';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { lookUp } from '../../../verifier/trie.mjs';
import { orderedTrieRoot } from './ordered-trie.js';
import { orderedTriePath } from './ordered-trie-path.js';
import { encodeRlp, integer } from './rlp.js';

const key = (index: number) => encodeRlp(integer(index));

describe('orderedTriePath', () => {
  it('leads from the root to each value, as @ethereumjs/mpt and the verifier walk it', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.uint8Array({ minLength: 1, maxLength: 80 }), { minLength: 1, maxLength: 140 }),
        fc.nat(),
        async (values, some) => {
          const index = some % values.length;
          const { root, nodes } = orderedTriePath(values, index);
          expect(root).toEqual(orderedTrieRoot(values));
          expect(lookUp(root, key(index), nodes, 'path')).toEqual(Buffer.from(values[index]!));
          const oracle = await verifyMPTWithMerkleProof(await createMPT(), root, key(index), nodes);
          expect(Buffer.from(oracle!)).toEqual(Buffer.from(values[index]!));
        },
      ),
      { numRuns: 60 },
    );
  });

  it('is refused by the verifier with any byte changed, cut short, or with more than is needed', () => {
    const values = Array.from({ length: 20 }, (_, index) => Buffer.alloc(40, index + 1));
    const { root, nodes } = orderedTriePath(values, 7);
    for (const [at, node] of nodes.entries()) {
      for (let byte = 0; byte < node.length; byte++) {
        const altered = nodes.map((bytes) => Buffer.from(bytes));
        altered[at]![byte]! ^= 1;
        expect(() => lookUp(root, key(7), altered, 'path')).toThrow(`node ${at} of path`);
      }
    }
    expect(() => lookUp(root, key(7), nodes.slice(0, -1), 'path')).toThrow('ends before');
    expect(() => lookUp(root, key(7), [...nodes, nodes[0]!], 'path')).toThrow('too many');
    expect(() => orderedTriePath(values, 20)).toThrow(RangeError);
  });
});
