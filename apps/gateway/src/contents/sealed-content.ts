import { createCipheriv, createDecipheriv, createHash } from 'node:crypto';
import { z } from 'zod';

/**
 * What a record version's hash on chain stands for: SHA-256 of this manifest's bytes. It names the ciphertext by its hash and
 * carries everything needed to open it but the key. A copy at another hospital keeps ciphertext and manifest as they are, so
 * `chainId`, `recordId` and `version` name the version they were made for.
 */
const manifestSchema = z.strictObject({
  v: z.literal(1),
  alg: z.literal('A256GCM'),
  chainId: z.string().regex(/^\d+$/),
  /** It goes out as a Content-Type, also where another hospital wrote the manifest. */
  mediaType: z
    .string()
    .max(255)
    .regex(/^[a-z0-9!#$&^_.+-]+\/[a-z0-9!#$&^_.+-]+$/),
  nonce: z.string().regex(/^[0-9a-f]{24}$/),
  recordId: z.string().regex(/^[0-9a-f]{64}$/),
  /** Of the ciphertext with its tag. */
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  /** Bytes of the plaintext. */
  size: z.int().min(0),
  /** 0: a document beside the record's versions, such as a consent. */
  version: z.int().min(0),
});
export type Manifest = z.output<typeof manifestSchema>;

/** Which record version a content belongs to; the associated data of its encryption. */
export interface ContentPlace {
  chainId: bigint;
  recordId: Buffer;
  version: number;
}

export interface SealedContent {
  /** Canonical JSON: sorted members, no white space. */
  manifest: Buffer;
  /** SHA-256 of the manifest: what goes on chain. */
  contentHash: Buffer;
  /** AES-256-GCM ciphertext ‖ tag (16). */
  ciphertext: Buffer;
}

/** Stored content does not match its hash on chain or its key. Nothing of it may leave. */
export class ContentDamaged extends Error {}

/** chain id (32) ‖ record id (32) ‖ version (4). */
export function placeBytes({ chainId, recordId, version }: ContentPlace): Buffer {
  const bytes = Buffer.alloc(68);
  Buffer.from(chainId.toString(16).padStart(64, '0'), 'hex').copy(bytes);
  recordId.copy(bytes, 32);
  bytes.writeUInt32BE(version, 64);
  return bytes;
}

/** Encrypts `plaintext`. The same key, nonce, place and plaintext give the same bytes; a nonce never serves two plaintexts. */
export function sealContent(
  plaintext: Buffer,
  mediaType: string,
  place: ContentPlace,
  keys: { dek: Buffer; nonce: Buffer },
): SealedContent {
  const cipher = createCipheriv('aes-256-gcm', keys.dek, keys.nonce, { authTagLength: 16 });
  cipher.setAAD(placeBytes(place));
  const ciphertext = Buffer.concat([cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]);
  const manifest: Manifest = {
    alg: 'A256GCM',
    chainId: place.chainId.toString(),
    mediaType,
    nonce: keys.nonce.toString('hex'),
    recordId: place.recordId.toString('hex'),
    sha256: sha256(ciphertext).toString('hex'),
    size: plaintext.length,
    v: 1,
    version: place.version,
  };
  const bytes = Buffer.from(canonicalJson(manifest));
  return { manifest: bytes, contentHash: sha256(bytes), ciphertext };
}

/** Whether the parts belong together, without opening them. @throws ContentDamaged */
export function verifySealed({ manifest, contentHash, ciphertext }: SealedContent): Manifest {
  if (!sha256(manifest).equals(contentHash)) throw new ContentDamaged('the manifest is not the one on chain');
  const parsed = parseManifest(manifest);
  if (sha256(ciphertext).toString('hex') !== parsed.sha256) {
    throw new ContentDamaged('the ciphertext is not the one the manifest names');
  }
  return parsed;
}

/** Opens content whose parts were verified. @throws ContentDamaged */
export function openVerified(
  manifest: Manifest,
  ciphertext: Buffer,
  dek: Buffer,
): { mediaType: string; bytes: Buffer } {
  const decipher = createDecipheriv('aes-256-gcm', dek, Buffer.from(manifest.nonce, 'hex'), { authTagLength: 16 });
  decipher.setAAD(
    placeBytes({
      chainId: BigInt(manifest.chainId),
      recordId: Buffer.from(manifest.recordId, 'hex'),
      version: manifest.version,
    }),
  );
  decipher.setAuthTag(ciphertext.subarray(-16));
  try {
    const bytes = Buffer.concat([decipher.update(ciphertext.subarray(0, -16)), decipher.final()]);
    return { mediaType: manifest.mediaType, bytes };
  } catch (cause) {
    throw new ContentDamaged('the content does not open under its key', { cause });
  }
}

/** Verifies against `contentHash` (from the ledger) and opens. @throws ContentDamaged */
export function openContent(sealed: SealedContent, dek: Buffer): { mediaType: string; bytes: Buffer } {
  return openVerified(verifySealed(sealed), sealed.ciphertext, dek);
}

function parseManifest(bytes: Buffer): Manifest {
  try {
    return manifestSchema.parse(JSON.parse(bytes.toString('utf8')));
  } catch (cause) {
    throw new ContentDamaged('the manifest is malformed', { cause });
  }
}

// RFC 8785 for what a manifest holds: flat, ASCII names, strings and small integers.
function canonicalJson(flat: Record<string, string | number>): string {
  return JSON.stringify(Object.fromEntries(Object.entries(flat).sort(([a], [b]) => (a < b ? -1 : 1))));
}

function sha256(bytes: Buffer): Buffer {
  return createHash('sha256').update(bytes).digest();
}
