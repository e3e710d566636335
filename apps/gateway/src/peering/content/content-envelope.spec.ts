import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { decodeEnvelope, EnvelopeInvalid, encodeEnvelope } from './content-envelope.js';

const receiver = generateKeyPairSync('x25519').privateKey.export({ format: 'jwk' });
const publicKey = Buffer.from(receiver.x!, 'base64url');
const privateKeyOf = () => Buffer.from(receiver.d!, 'base64url');
const binding = {
  use: 'query' as const,
  chainId: 81n,
  contract: Buffer.alloc(20, 1),
  id: Buffer.alloc(32, 2),
  recordId: Buffer.alloc(32, 3),
  version: 1,
};
const hash = Buffer.alloc(32, 4);
const parts = { manifest: Buffer.from('{}'), ciphertext: randomBytes(1000), dek: randomBytes(32) };

describe('content of a query at another hospital', () => {
  it('opens for the hospital and the query it was sealed for', async () => {
    const bytes = await encodeEnvelope({ ...binding, keyId: 1 }, hash, publicKey, parts);
    expect(await decodeEnvelope(bytes, binding, hash, privateKeyOf)).toEqual(parts);
  });

  it('opens for no other query, record, content or key, nor when cut', async () => {
    const bytes = await encodeEnvelope({ ...binding, keyId: 1 }, hash, publicKey, parts);
    const fails = (promise: Promise<unknown>) => expect(promise).rejects.toBeInstanceOf(EnvelopeInvalid);
    await fails(decodeEnvelope(bytes, { ...binding, id: Buffer.alloc(32) }, hash, privateKeyOf));
    await fails(decodeEnvelope(bytes, { ...binding, recordId: Buffer.alloc(32) }, hash, privateKeyOf));
    await fails(decodeEnvelope(bytes, { ...binding, use: 'transfer' }, hash, privateKeyOf));
    await fails(decodeEnvelope(bytes, binding, Buffer.alloc(32), privateKeyOf));
    await fails(decodeEnvelope(bytes, binding, hash, () => randomBytes(32)));
    for (const length of [0, 3, 4, 50])
      await fails(decodeEnvelope(bytes.subarray(0, length), binding, hash, privateKeyOf));
  });
});
