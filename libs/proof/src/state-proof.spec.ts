import { createMerkleProof, createMPT } from '@ethereumjs/mpt';
import { RLP } from '@ethereumjs/rlp';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { keccak256 } from '../../platform/src/keccak.js';
import { InvalidProofError, provenSlots } from './state-proof.js';

const address = Buffer.alloc(20, 7);
const word = (value: number) => {
  const bytes = Buffer.alloc(32);
  bytes.writeUInt32BE(value, 28);
  return bytes;
};
const trimmed = (bytes: Uint8Array) => bytes.subarray(bytes.findIndex((byte) => byte !== 0));

/** A state with our account among others, and the proofs of `asked` as a node gives them. */
async function stateWith(slots: Map<number, Buffer>, asked: number[], accounts: number) {
  const storage = await createMPT();
  for (const [slot, value] of slots) await storage.put(keccak256(word(slot)), RLP.encode(trimmed(value)));
  const state = await createMPT();
  const account = RLP.encode([new Uint8Array(0), new Uint8Array(0), storage.root(), keccak256(Buffer.alloc(0))]);
  await state.put(keccak256(address), account);
  for (let other = 0; other < accounts; other++) await state.put(keccak256(word(other)), Buffer.alloc(70, other + 1));
  return {
    root: Buffer.from(state.root()),
    account: await createMerkleProof(state, keccak256(address)),
    slots: await Promise.all(
      asked.map(async (slot) => ({ slot: word(slot), nodes: await createMerkleProof(storage, keccak256(word(slot))) })),
    ),
  };
}

const storages = fc.uniqueArray(
  fc.record({ slot: fc.nat(400), value: fc.uint8Array({ minLength: 32, maxLength: 32 }) }),
  {
    minLength: 1,
    maxLength: 40,
    selector: ({ slot }) => slot,
  },
);

describe('provenSlots', () => {
  it('reads what @ethereumjs/mpt wrote and proved, present or absent', async () => {
    await fc.assert(
      fc.asyncProperty(storages, fc.nat(20), async (written, accounts) => {
        const values = new Map(
          written.map(({ slot, value }) => [slot, Buffer.from([(value[0] as number) | 1, ...value.subarray(1)])]),
        );
        const asked = [...values.keys(), 900, 901];
        const { root, account, slots } = await stateWith(values, asked, accounts);
        expect(provenSlots(root, address, account, slots)).toEqual(
          asked.map((slot) => values.get(slot) ?? Buffer.alloc(32)),
        );
      }),
      { numRuns: 25 },
    );
  });

  it('refuses a proof of which any byte is another, and one with a node too few or too many', async () => {
    const values = new Map(Array.from({ length: 30 }, (_, slot) => [slot, Buffer.alloc(32, slot + 1)]));
    const { root, account, slots } = await stateWith(values, [0, 1], 10);
    const [first] = slots as [(typeof slots)[number]];
    fc.assert(
      fc.property(fc.nat(), fc.nat(), fc.integer({ min: 1, max: 255 }), fc.boolean(), (node, at, bits, inAccount) => {
        const nodes = (inAccount ? account : first.nodes).map((bytes) => Buffer.from(bytes));
        const chosen = nodes[node % nodes.length] as Buffer;
        chosen[at % chosen.length] = (chosen[at % chosen.length] as number) ^ bits;
        const told = inAccount ? { account: nodes, slots } : { account, slots: [{ ...first, nodes }] };
        expect(() => provenSlots(root, address, told.account, told.slots)).toThrow(InvalidProofError);
      }),
      { numRuns: 200 },
    );
    for (const nodes of [account.slice(0, -1), account.slice(1), [...account, account[0] as Uint8Array], []]) {
      expect(() => provenSlots(root, address, nodes, slots)).toThrow(InvalidProofError);
    }
    expect(() => provenSlots(Buffer.alloc(32, 1), address, account, slots)).toThrow(InvalidProofError);
  });
});
