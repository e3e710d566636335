import { z } from 'zod';
import { open, type SealBinding, SealBroken, seal } from '../../../../../libs/vault/src/hpke.js';

/**
 * Answer of a record's custodian to a query that the global ledger confirmed: manifest and ciphertext as they are, the key sealed to the asking
 * hospital. It needs no signature: the manifest's hash is on the ledger, and a wrong key opens nothing.
 *
 *   length of head (4, big endian) ‖ head (JSON) ‖ ciphertext
 */
const base64 = z.base64().max(8192);
const headSchema = z.strictObject({
  v: z.literal(1),
  keyId: z.int().min(0).max(0xffff_ffff),
  manifest: base64,
  enc: base64,
  sealed: base64,
});
const LONGEST_HEAD = 32 * 1024;
const DEK_BYTES = 32;

export interface ContentParts {
  manifest: Buffer;
  ciphertext: Buffer;
  dek: Buffer;
}

/** The answer is none of this query, or not for this hospital. */
export class EnvelopeInvalid extends Error {
  constructor(options?: ErrorOptions) {
    super('The other hospital gave no valid answer.', options);
    this.name = 'EnvelopeInvalid';
  }
}

export async function encodeEnvelope(
  binding: SealBinding,
  contentHash: Buffer,
  transferKey: Buffer,
  { manifest, ciphertext, dek }: ContentParts,
): Promise<Buffer> {
  const sealed = await seal(transferKey, binding, contentHash, dek);
  const head: z.input<typeof headSchema> = {
    v: 1,
    keyId: binding.keyId,
    manifest: manifest.toString('base64'),
    enc: sealed.enc.toString('base64'),
    sealed: sealed.ciphertext.toString('base64'),
  };
  const bytes = Buffer.from(JSON.stringify(head));
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return Buffer.concat([length, bytes, ciphertext]);
}

/** @throws EnvelopeInvalid */
export async function decodeEnvelope(
  bytes: Buffer,
  binding: Omit<SealBinding, 'keyId'>,
  contentHash: Buffer,
  privateKeyOf: (keyId: number) => Buffer,
): Promise<ContentParts> {
  const length = bytes.length >= 4 ? bytes.readUInt32BE(0) : 0;
  if (length === 0 || length > LONGEST_HEAD || 4 + length > bytes.length) throw new EnvelopeInvalid();
  try {
    const head = headSchema.parse(JSON.parse(bytes.toString('utf8', 4, 4 + length)));
    const dek = await open(privateKeyOf(head.keyId), { ...binding, keyId: head.keyId }, contentHash, {
      enc: Buffer.from(head.enc, 'base64'),
      ciphertext: Buffer.from(head.sealed, 'base64'),
    });
    if (dek.length !== DEK_BYTES) throw new EnvelopeInvalid();
    return { manifest: Buffer.from(head.manifest, 'base64'), ciphertext: bytes.subarray(4 + length), dek };
  } catch (cause) {
    // The parser's own message would quote what it read.
    throw new EnvelopeInvalid(cause instanceof SealBroken || cause instanceof RangeError ? { cause } : undefined);
  }
}
