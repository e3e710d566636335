import {
  createCipheriv,
  createDecipheriv,
  createPrivateKey,
  createPublicKey,
  type KeyObject,
  randomBytes,
  sign,
  verify,
} from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import {
  authContext,
  deriveActorKey,
  deriveContentKeys,
  deriveRecordId,
  deriveSubjectKey,
  hmacFields,
} from './derive.js';
import { DEFAULT_SCRYPT_COST, readVaultFile, type VaultSecrets, writeVaultFile } from './vault-file.js';

/** Who asks, as their token says. Only HMACs of it are ever stored. */
export interface Principal {
  issuer: string;
  clientId: string;
  subject: string;
}
/** `key` is the Idempotency-Key; `step` tells the acts of one request apart. */
export interface RequestScope extends Principal {
  key: string;
  step?: string;
}
/** A secret sealed under the key encryption key `kekId`: nonce (12) ‖ ciphertext ‖ tag (16). */
export interface Wrapped {
  kekId: string;
  bytes: Buffer;
}

/** One value of a `Wrapped`, for places with a single column: length of the key id (1) ‖ key id ‖ bytes. */
export function packWrapped({ kekId, bytes }: Wrapped): Buffer {
  const id = Buffer.from(kekId, 'ascii');
  return Buffer.concat([Buffer.of(id.length), id, bytes]);
}

/** Reverse of `packWrapped`; what it makes of other bytes does not unwrap. */
export function unpackWrapped(packed: Buffer): Wrapped {
  const end = 1 + (packed[0] ?? 0);
  return { kekId: packed.toString('ascii', 1, end), bytes: packed.subarray(end) };
}

/** What sealed key or data does not open: other key, other associated data, or altered bytes. */
export class UnwrapError extends Error {}

/** A hospital's secrets, opened. All methods are synchronous and safe to call on the hot path. */
export class Vault {
  readonly #secrets: VaultSecrets;
  readonly #keks: Map<string, Buffer>;
  readonly #identityKey: KeyObject;
  /** Raw Ed25519 public key, 32 bytes: stands in the hospital registry. */
  readonly identityPublicKey: Buffer;
  /** Current transfer key; `publicKey` is raw X25519, 32 bytes. */
  readonly transferKey: { id: number; publicKey: Buffer };

  constructor(secrets: VaultSecrets) {
    this.#secrets = secrets;
    this.#keks = new Map(secrets.keks.map(({ id, key }) => [id, key]));
    this.#identityKey = privateKey(ED25519_PKCS8, secrets.identitySeed);
    this.identityPublicKey = rawPublicKey(this.#identityKey);
    const current = secrets.transferKeys.at(-1)!;
    this.transferKey = { id: current.id, publicKey: rawPublicKey(privateKey(X25519_PKCS8, current.privateKey)) };
  }

  /** Seals `secret` under the current key encryption key. `aad` says what it belongs to; the same is needed to open it. */
  wrap(secret: Buffer, aad: Buffer): Wrapped {
    const { id, key } = this.#secrets.keks.at(-1)!;
    const nonce = randomBytes(12);
    const cipher = createCipheriv('aes-256-gcm', key, nonce, { authTagLength: 16 });
    cipher.setAAD(aad);
    return { kekId: id, bytes: Buffer.concat([nonce, cipher.update(secret), cipher.final(), cipher.getAuthTag()]) };
  }

  /** @throws UnwrapError */
  unwrap(wrapped: Wrapped, aad: Buffer): Buffer {
    const key = this.#keks.get(wrapped.kekId);
    if (!key) throw new UnwrapError(`no key encryption key ${wrapped.kekId} in this vault`);
    if (wrapped.bytes.length < 28) throw new UnwrapError('sealed bytes are too short');
    const decipher = createDecipheriv('aes-256-gcm', key, wrapped.bytes.subarray(0, 12), { authTagLength: 16 });
    decipher.setAAD(aad);
    decipher.setAuthTag(wrapped.bytes.subarray(-16));
    try {
      return Buffer.concat([decipher.update(wrapped.bytes.subarray(12, -16)), decipher.final()]);
    } catch (cause) {
      throw new UnwrapError('sealed bytes do not open', { cause });
    }
  }

  /** The act's name on chain, 32 bytes: opaque outside, the same for every retry of the same key. */
  requestId(scope: RequestScope): Buffer {
    const { issuer, clientId, subject, key, step } = scope;
    return hmacFields(this.#secrets.requestSecret, 'request', issuer, clientId, subject, key, step ?? '');
  }

  /** Whose an operation is, 32 bytes, without naming them. */
  principal({ issuer, clientId, subject }: Principal): Buffer {
    return hmacFields(this.#secrets.requestSecret, 'principal', issuer, clientId, subject);
  }

  /** Keyed hash of a request's method, route and body: tells a replay from a misuse of its Idempotency-Key. */
  fingerprint(...parts: Array<string | Buffer>): Buffer {
    return hmacFields(this.#secrets.fingerprintSecret, 'fingerprint', ...parts);
  }

  /** Id of the record that `requestId` opens; begins with the hospital's id. */
  recordId(hospital: number, requestId: Buffer): Buffer {
    return deriveRecordId(this.#secrets.contentSecret, hospital, requestId);
  }

  /** secp256k1 private key of the subject (the patient, for this one record) of the record that `requestId` opens. */
  subjectKey(requestId: Buffer): Buffer {
    return deriveSubjectKey(this.#secrets.contentSecret, requestId);
  }

  /** secp256k1 private key that is kept here for an actor: the same for the same issuer and subject, whatever became of the database. */
  actorKey(issuer: string, subject: string): Buffer {
    return deriveActorKey(this.#secrets.contentSecret, issuer, subject);
  }

  /** Key (32) and nonce (12) of one record version; `context` is the version's associated data. */
  deriveContentKeys(requestId: Buffer, plaintextSha256: Buffer, context: Buffer): { dek: Buffer; nonce: Buffer } {
    return deriveContentKeys(this.#secrets.contentSecret, requestId, plaintextSha256, context);
  }

  /** Blind index of a patient identifier: finds it again, can't be turned back or compared between hospitals. */
  indexOf(identifier: string): Buffer {
    return hmacFields(this.#secrets.indexSecret, 'identifier', identifier);
  }

  /** Commitment on chain to the token an act was asked for with; `salt` is stored sealed, or it could be guessed. */
  authContext(salt: Buffer, tokenHash: Buffer, acr: string | undefined, clientId: string): Buffer {
    return authContext(salt, tokenHash, acr, clientId);
  }

  /** Ed25519 signature (64 bytes) under the hospital's identity key. */
  sign(message: Buffer): Buffer {
    return sign(null, message, this.#identityKey);
  }

  /** Raw X25519 private key with this id, for opening a transfer sealed to it; older ids stay. @throws RangeError */
  transferPrivateKey(id: number): Buffer {
    const found = this.#secrets.transferKeys.find((key) => key.id === id);
    if (!found) throw new RangeError(`no transfer key ${id} in this vault`);
    return found.privateKey;
  }
}

/** Whether `signature` is that of the hospital whose raw Ed25519 public key this is. Never throws on bad input. */
export function verifyIdentitySignature(publicKey: Buffer, message: Buffer, signature: Buffer): boolean {
  if (publicKey.length !== 32 || signature.length !== 64) return false;
  try {
    const key = createPublicKey({ key: Buffer.concat([ED25519_SPKI, publicKey]), format: 'der', type: 'spki' });
    return verify(null, message, key, signature);
  } catch {
    return false; // not a point on the curve
  }
}

/**
 * Makes a vault of new random secrets in `directory`/vault.json.
 * @throws Error EEXIST when there is one: it is never overwritten.
 */
export async function createVault(directory: string, passphrase: string, cost = DEFAULT_SCRYPT_COST): Promise<Vault> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const secrets: VaultSecrets = {
    keks: [{ id: 'kek-1', key: randomBytes(32) }],
    requestSecret: randomBytes(32),
    contentSecret: randomBytes(32),
    indexSecret: randomBytes(32),
    fingerprintSecret: randomBytes(32),
    identitySeed: randomBytes(32),
    transferKeys: [{ id: 1, privateKey: randomBytes(32) }],
  };
  await writeVaultFile(directory, passphrase, secrets, 'create', cost);
  return new Vault(secrets);
}

/** @throws Error when the vault is missing, damaged, or the passphrase is wrong. */
export async function openVault(directory: string, passphrase: string): Promise<Vault> {
  return new Vault(await readVaultFile(directory, passphrase));
}

/** Adds a new key encryption key and/or transfer key. What the old ones sealed stays readable. */
export async function rotateVault(
  directory: string,
  passphrase: string,
  which: { kek?: boolean; transferKey?: boolean },
  cost = DEFAULT_SCRYPT_COST,
): Promise<Vault> {
  const secrets = await readVaultFile(directory, passphrase);
  if (which.kek) secrets.keks.push({ id: `kek-${secrets.keks.length + 1}`, key: randomBytes(32) });
  if (which.transferKey) {
    secrets.transferKeys.push({ id: secrets.transferKeys.at(-1)!.id + 1, privateKey: randomBytes(32) });
  }
  await writeVaultFile(directory, passphrase, secrets, 'replace', cost);
  return new Vault(secrets);
}

// DER prefixes of a raw 32-byte key (RFC 8410): Node reads no raw keys, and JWK would ask for the public half first.
const ED25519_PKCS8 = Buffer.from('302e020100300506032b657004220420', 'hex');
const X25519_PKCS8 = Buffer.from('302e020100300506032b656e04220420', 'hex');
const ED25519_SPKI = Buffer.from('302a300506032b6570032100', 'hex');

function privateKey(prefix: Buffer, raw: Buffer): KeyObject {
  return createPrivateKey({ key: Buffer.concat([prefix, raw]), format: 'der', type: 'pkcs8' });
}

function rawPublicKey(key: KeyObject): Buffer {
  return Buffer.from(createPublicKey(key).export({ format: 'der', type: 'spki' }).subarray(-32));
}
