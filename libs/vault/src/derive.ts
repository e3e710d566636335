import { createHash, createHmac, hkdfSync } from 'node:crypto';

/** Order of the secp256k1 group: a private key is a number in [1, order). */
const SECP256K1_ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;

/**
 * HMAC-SHA-256 over a label and fields. Each field is preceded by its length, so that no two different lists of fields
 * make the same input ("ab","c" and "a","bc" differ).
 */
export function hmacFields(secret: Buffer, label: string, ...fields: Array<string | Buffer>): Buffer {
  const mac = createHmac('sha256', secret);
  for (const field of [label, ...fields]) {
    const bytes = typeof field === 'string' ? Buffer.from(field, 'utf8') : field;
    const length = Buffer.alloc(4);
    length.writeUInt32BE(bytes.length);
    mac.update(length).update(bytes);
  }
  return mac.digest();
}

/** HKDF-SHA-256 (RFC 5869), the requestId as salt. */
function expand(secret: Buffer, requestId: Buffer, info: Buffer, length: number): Buffer {
  return Buffer.from(hkdfSync('sha256', secret, requestId, info, length));
}

/** 4-byte hospital id ‖ 28 bytes of HMAC(contentSecret, "record", requestId). */
export function deriveRecordId(contentSecret: Buffer, hospital: number, requestId: Buffer): Buffer {
  const recordId = Buffer.alloc(32);
  recordId.writeUInt32BE(hospital);
  hmacFields(contentSecret, 'record', requestId).copy(recordId, 4, 0, 28);
  return recordId;
}

/** A valid secp256k1 private key, 32 bytes. 48 bytes reduced modulo order - 1: the bias is below 2^-128 (FIPS 186-5 A.2.1). */
export function deriveSubjectKey(contentSecret: Buffer, requestId: Buffer): Buffer {
  return privateKeyFrom(expand(contentSecret, requestId, Buffer.from('emr:subject-key:1'), 48));
}

/**
 * The key a gateway keeps for an actor, as `deriveSubjectKey`. It follows from who the actor is, so that after the loss of the
 * database the same person acts under the same address, and what they ask for again is known as a repeat.
 */
export function deriveActorKey(secret: Buffer, issuer: string, subject: string): Buffer {
  return privateKeyFrom(
    expand(secret, hmacFields(secret, 'actor', issuer, subject), Buffer.from('emr:actor-key:1'), 48),
  );
}

function privateKeyFrom(wide: Buffer): Buffer {
  const scalar = (BigInt(`0x${wide.toString('hex')}`) % (SECP256K1_ORDER - 1n)) + 1n;
  return Buffer.from(scalar.toString(16).padStart(64, '0'), 'hex');
}

/**
 * AES-256-GCM key and nonce of one record version. The same request, plaintext and context give the same ciphertext, so
 * that a retry after the loss of a database matches the hash on chain; any difference gives an unrelated key, so that no
 * key ever meets the same nonce with other bytes.
 */
export function deriveContentKeys(
  contentSecret: Buffer,
  requestId: Buffer,
  plaintextSha256: Buffer,
  context: Buffer,
): { dek: Buffer; nonce: Buffer } {
  const scope = createHash('sha256').update(plaintextSha256).update(context).digest();
  const info = Buffer.concat([Buffer.from('emr:content:1'), scope]);
  const bytes = expand(contentSecret, requestId, info, 44);
  return { dek: bytes.subarray(0, 32), nonce: bytes.subarray(32, 44) };
}

/** Ties an act to the token it was asked for with: HMAC(salt, SHA-256 of the JWT, acr, client), 32 bytes. */
export function authContext(salt: Buffer, tokenHash: Buffer, acr: string | undefined, clientId: string): Buffer {
  return hmacFields(salt, 'auth-context', tokenHash, acr ?? '', clientId);
}
