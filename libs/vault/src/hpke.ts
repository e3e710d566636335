import { Aes256Gcm, CipherSuite, DhkemX25519HkdfSha256, HkdfSha256 } from '@hpke/core';

/**
 * HPKE in base mode (RFC 9180): DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM. Base mode doesn't say who sealed: whatever carries a
 * sealed key is signed by its sender besides (a transfer package, or the HTTP message signature of a peer's answer's request).
 */
const suite = new CipherSuite({
  kem: new DhkemX25519HkdfSha256(),
  kdf: new HkdfSha256(),
  aead: new Aes256Gcm(),
});

const KEY_BYTES = 32;

/** What a sealed key is bound to. Opened under anything else, it doesn't open. */
export interface SealBinding {
  /** 'transfer': `id` is the transfer id; 'query': `id` is the request id of the query on the global ledger. */
  use: 'transfer' | 'query';
  chainId: bigint;
  /** Ledger contract, 20 bytes. */
  contract: Buffer;
  /** 32 bytes. */
  id: Buffer;
  /** 32 bytes. */
  recordId: Buffer;
  version: number;
  /** The receiver's transfer key id, as the registry has it. */
  keyId: number;
}

/** An encapsulated key (32 bytes) and what was sealed under it. */
export interface Sealed {
  enc: Buffer;
  ciphertext: Buffer;
}

/** The sealed key was not made for this key, this binding, or these associated data, or was altered. */
export class SealBroken extends Error {
  constructor(cause: unknown) {
    super('The sealed key does not open under this key and binding.', { cause });
    this.name = 'SealBroken';
  }
}

/** HPKE `info`: a label and every field at a fixed width, so that no two bindings encode alike. */
export function sealInfo(binding: SealBinding): Buffer {
  const label = Buffer.from(`emr-gateway/${binding.use}/1\0`, 'ascii');
  const words = Buffer.alloc(32 + 20 + 32 + 32 + 4 + 4);
  fixed(binding.contract, 20, 'contract').copy(words, 32);
  fixed(binding.id, 32, 'id').copy(words, 52);
  fixed(binding.recordId, 32, 'recordId').copy(words, 84);
  Buffer.from(binding.chainId.toString(16).padStart(64, '0'), 'hex').copy(words, 0);
  words.writeUInt32BE(binding.version, 116);
  words.writeUInt32BE(binding.keyId, 120);
  return Buffer.concat([label, words]);
}

/** Seals `plaintext` to an X25519 public key (raw, 32 bytes). `aad` is the manifest hash. */
export async function seal(
  publicKey: Buffer,
  binding: SealBinding,
  aad: Uint8Array,
  plaintext: Uint8Array,
): Promise<Sealed> {
  const recipientPublicKey = await suite.kem.importKey('raw', bytes(fixed(publicKey, KEY_BYTES, 'publicKey')), true);
  const { enc, ct } = await suite.seal(
    { recipientPublicKey, info: bytes(sealInfo(binding)) },
    bytes(plaintext),
    bytes(aad),
  );
  return { enc: Buffer.from(enc), ciphertext: Buffer.from(ct) };
}

/** Opens what `seal` made. `privateKey` is raw, 32 bytes. @throws SealBroken */
export async function open(privateKey: Buffer, binding: SealBinding, aad: Uint8Array, sealed: Sealed): Promise<Buffer> {
  const recipientKey = await suite.kem.importKey('raw', bytes(fixed(privateKey, KEY_BYTES, 'privateKey')), false);
  try {
    const plaintext = await suite.open(
      { recipientKey, enc: bytes(sealed.enc), info: bytes(sealInfo(binding)) },
      bytes(sealed.ciphertext),
      bytes(aad),
    );
    return Buffer.from(plaintext);
  } catch (error) {
    throw new SealBroken(error);
  }
}

function fixed(value: Buffer, length: number, name: string): Buffer {
  if (value.length !== length) throw new RangeError(`${name}: ${value.length} bytes where ${length} are needed`);
  return value;
}

// A Buffer may be a view into a pool; the library wants a buffer of its own.
function bytes(value: Uint8Array): ArrayBuffer {
  const copy = new ArrayBuffer(value.byteLength);
  new Uint8Array(copy).set(value);
  return copy;
}
