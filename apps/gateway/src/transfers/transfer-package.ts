import { createHash } from 'node:crypto';
import { z } from 'zod';
import { open, type SealBinding, seal } from '../../../../libs/vault/src/hpke.js';
import { verifyIdentitySignature } from '../../../../libs/vault/src/vault.js';
import { patientIdentifier } from '../emrs/emrs.schema.js';

/**
 * What one hospital hands another: a record version's manifest and ciphertext as they are, and, sealed to the receiver's transfer key, the
 * key that opens them and whose record it is. Signed by the sender; `packageHash` is the SHA-256 of the whole.
 *
 *   length of head (4, big endian) ‖ head (JSON) ‖ ciphertext ‖ Ed25519 signature (64) over LABEL ‖ SHA-256 of all before it
 */
const LABEL = Buffer.from('emr-gateway/transfer-package/1\0');
const SIGNATURE_BYTES = 64;
const LONGEST_HEAD = 32 * 1024;

const hex = (bytes: number) => z.string().regex(new RegExp(`^[0-9a-f]{${bytes * 2}}$`));
const base64 = z.base64().max(8192);
const headSchema = z.strictObject({
  v: z.literal(1),
  chainId: z.string().regex(/^\d{1,78}$/),
  contract: hex(20),
  transferId: hex(32),
  recordId: hex(32),
  version: z.int().min(1).max(0xffff_ffff),
  from: z.int().min(1).max(0xffff_ffff),
  to: z.int().min(1).max(0xffff_ffff),
  /** Which of the receiver's transfer keys this is sealed to. */
  keyId: z.int().min(0).max(0xffff_ffff),
  manifest: base64,
  enc: base64,
  sealed: base64,
});
const secretSchema = z.strictObject({ dek: hex(32), patient: patientIdentifier });

/** Which transfer a package belongs to, as the global ledger has it. */
export interface PackageSubject {
  chainId: bigint;
  contract: Buffer;
  transferId: Buffer;
  recordId: Buffer;
  version: number;
  from: number;
  to: number;
  /** SHA-256 of the manifest. */
  contentHash: Buffer;
}

export interface PackageSecret {
  dek: Buffer;
  /** The patient as the sender knows them. */
  patient: z.output<typeof patientIdentifier>;
}

export interface OpenedPackage extends PackageSecret {
  manifest: Buffer;
  ciphertext: Buffer;
}

/** The package is not what the sender signed, or not of this transfer, or not for this hospital's key. */
export class PackageInvalid extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'PackageInvalid';
  }
}

/** SHA-256 over all of it: what the receiver's acceptance names on the ledger. */
export function packageHash(bytes: Buffer): Buffer {
  return createHash('sha256').update(bytes).digest();
}

/** Builds a package. Sealing draws a fresh key, so two packages of one transfer differ: build once, store, then send. */
export async function buildPackage(
  subject: PackageSubject,
  content: OpenedPackage,
  receiver: { transferKey: Buffer; transferKeyId: number },
  sign: (message: Buffer) => Buffer,
): Promise<Buffer> {
  const keyId = receiver.transferKeyId;
  const secret = Buffer.from(JSON.stringify({ dek: content.dek.toString('hex'), patient: content.patient }));
  const sealed = await seal(receiver.transferKey, bindingOf(subject, keyId), subject.contentHash, secret);
  const head: z.input<typeof headSchema> = {
    v: 1,
    chainId: subject.chainId.toString(),
    contract: subject.contract.toString('hex'),
    transferId: subject.transferId.toString('hex'),
    recordId: subject.recordId.toString('hex'),
    version: subject.version,
    from: subject.from,
    to: subject.to,
    keyId,
    manifest: content.manifest.toString('base64'),
    enc: sealed.enc.toString('base64'),
    sealed: sealed.ciphertext.toString('base64'),
  };
  const headBytes = Buffer.from(JSON.stringify(head));
  const length = Buffer.alloc(4);
  length.writeUInt32BE(headBytes.length);
  const body = Buffer.concat([length, headBytes, content.ciphertext]);
  return Buffer.concat([body, sign(signedPart(body))]);
}

/**
 * Proves that a package is the sender's, of this transfer and this content, and opens its seal. That the ciphertext is the manifest's and opens
 * under the key is for the caller to prove (contents/sealed-content.ts).
 * @param privateKeyOf the receiver's transfer key (X25519, raw) with this id; may throw
 * @throws PackageInvalid
 */
export async function openPackage(
  bytes: Buffer,
  subject: PackageSubject,
  identityKey: Buffer,
  privateKeyOf: (keyId: number) => Buffer,
): Promise<OpenedPackage> {
  const end = bytes.length - SIGNATURE_BYTES;
  const headLength = bytes.length >= 4 ? bytes.readUInt32BE(0) : 0;
  if (headLength === 0 || headLength > LONGEST_HEAD || 4 + headLength > end) {
    throw new PackageInvalid('The package is cut short or no package.');
  }
  if (!verifyIdentitySignature(identityKey, signedPart(bytes.subarray(0, end)), bytes.subarray(end))) {
    throw new PackageInvalid('The package is not signed by the hospital that proposed the transfer.');
  }
  const head = parse(headSchema, bytes.subarray(4, 4 + headLength));
  const manifest = Buffer.from(head.manifest, 'base64');
  const fits =
    head.chainId === subject.chainId.toString() &&
    head.contract === subject.contract.toString('hex') &&
    head.transferId === subject.transferId.toString('hex') &&
    head.recordId === subject.recordId.toString('hex') &&
    head.version === subject.version &&
    head.from === subject.from &&
    head.to === subject.to &&
    createHash('sha256').update(manifest).digest().equals(subject.contentHash);
  if (!fits) throw new PackageInvalid('The package is not of this transfer.');
  let plain: Buffer;
  try {
    plain = await open(privateKeyOf(head.keyId), bindingOf(subject, head.keyId), subject.contentHash, {
      enc: Buffer.from(head.enc, 'base64'),
      ciphertext: Buffer.from(head.sealed, 'base64'),
    });
  } catch (cause) {
    throw new PackageInvalid("The package's seal does not open under this hospital's transfer key.", { cause });
  }
  const secret = parse(secretSchema, plain);
  return {
    manifest,
    ciphertext: bytes.subarray(4 + headLength, end),
    dek: Buffer.from(secret.dek, 'hex'),
    patient: secret.patient,
  };
}

function bindingOf(subject: PackageSubject, keyId: number): SealBinding {
  const { chainId, contract, transferId, recordId, version } = subject;
  return { use: 'transfer', chainId, contract, id: transferId, recordId, version, keyId };
}

function signedPart(body: Buffer): Buffer {
  return Buffer.concat([LABEL, createHash('sha256').update(body).digest()]);
}

function parse<T extends z.ZodType>(schema: T, bytes: Buffer): z.output<T> {
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString('utf8'));
  } catch {
    value = undefined; // the parser's message would quote what it read
  }
  const result = schema.safeParse(value);
  if (!result.success) throw new PackageInvalid('The package is malformed.');
  return result.data;
}
