import { generateKeyPairSync } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { open, type SealBinding, SealBroken, seal, sealInfo } from './hpke.js';

function newTransferKey(): { privateKey: Buffer; publicKey: Buffer } {
  const jwk = generateKeyPairSync('x25519').privateKey.export({ format: 'jwk' });
  return { privateKey: Buffer.from(jwk.d!, 'base64url'), publicKey: Buffer.from(jwk.x!, 'base64url') };
}

const buffer = (length: number) => fc.uint8Array({ minLength: length, maxLength: length }).map((b) => Buffer.from(b));
const binding: fc.Arbitrary<SealBinding> = fc.record({
  use: fc.constantFrom('transfer' as const, 'query' as const),
  chainId: fc.bigInt({ min: 1n, max: 2n ** 64n }),
  contract: buffer(20),
  id: buffer(32),
  recordId: buffer(32),
  version: fc.nat({ max: 0xffffffff }),
  keyId: fc.nat({ max: 0xffffffff }),
});

const one: SealBinding = {
  use: 'transfer',
  chainId: 80n,
  contract: Buffer.alloc(20, 1),
  id: Buffer.alloc(32, 2),
  recordId: Buffer.alloc(32, 3),
  version: 1,
  keyId: 1,
};

describe('sealing a key to another hospital', () => {
  const receiver = newTransferKey();
  const aad = Buffer.alloc(32, 7);

  it('opens what was sealed, under the same binding and associated data', async () => {
    await fc.assert(
      fc.asyncProperty(binding, fc.uint8Array({ maxLength: 200 }), async (bound, plaintext) => {
        const sealed = await seal(receiver.publicKey, bound, aad, plaintext);
        expect(await open(receiver.privateKey, bound, aad, sealed)).toEqual(Buffer.from(plaintext));
      }),
      { numRuns: 20 },
    );
  });

  it('seals to no key that would make the secret known to all', async () => {
    // points of low order, https://www.rfc-editor.org/rfc/rfc7748#section-6.1
    for (const first of [0, 1]) {
      const publicKey = Buffer.alloc(32);
      publicKey[0] = first;
      await expect(seal(publicKey, one, aad, Buffer.from('secret'))).rejects.toThrow();
    }
  });

  it('opens under no other binding', async () => {
    await fc.assert(
      fc.asyncProperty(binding, binding, async (bound, other) => {
        fc.pre(!sealInfo(bound).equals(sealInfo(other)));
        const sealed = await seal(receiver.publicKey, bound, aad, Buffer.from('key'));
        await expect(open(receiver.privateKey, other, aad, sealed)).rejects.toBeInstanceOf(SealBroken);
      }),
      { numRuns: 10 },
    );
  });

  it('opens with no other key, no other associated data, and not when a bit is flipped', async () => {
    const bound = one;
    const sealed = await seal(receiver.publicKey, bound, aad, Buffer.from('key'));
    const flipped = { ...sealed, ciphertext: Buffer.from(sealed.ciphertext) };
    flipped.ciphertext[0]! ^= 1;
    await expect(open(newTransferKey().privateKey, bound, aad, sealed)).rejects.toBeInstanceOf(SealBroken);
    await expect(open(receiver.privateKey, bound, Buffer.alloc(32), sealed)).rejects.toBeInstanceOf(SealBroken);
    await expect(open(receiver.privateKey, bound, aad, flipped)).rejects.toBeInstanceOf(SealBroken);
    await expect(open(receiver.privateKey, bound, aad, { ...sealed, enc: Buffer.alloc(32) })).rejects.toBeInstanceOf(
      SealBroken,
    );
  });

  it('encodes bindings that differ in one field differently', () => {
    const base = one;
    const changed: SealBinding[] = [
      { ...base, use: base.use === 'query' ? 'transfer' : 'query' },
      { ...base, chainId: base.chainId + 1n },
      { ...base, version: base.version + 1 },
      { ...base, keyId: base.keyId + 1 },
    ];
    for (const other of changed) expect(sealInfo(other)).not.toEqual(sealInfo(base));
  });
});
