import { randomBytes } from 'node:crypto';
import secp256k1 from 'secp256k1';
import { keccak256 } from '../../../platform/src/keccak.js';

// The package loads its native build where one exists for the platform, and its JavaScript form elsewhere.

/** A fresh private key, 32 bytes. */
export function newKey(): Buffer {
  for (;;) {
    const key = randomBytes(32);
    if (secp256k1.privateKeyVerify(key)) return key;
  }
}

/** Ethereum address of a private key, 20 bytes. @throws Error when the key is none */
export function addressOf(key: Uint8Array): Buffer {
  return addressOfPublicKey(secp256k1.publicKeyCreate(key, false));
}

/**
 * Signs a 32-byte digest (RFC 6979 nonce, s in the lower half order).
 * @returns r ‖ s ‖ v, 65 bytes, v 27 or 28
 */
export function signDigest(key: Uint8Array, digest: Uint8Array): Buffer {
  const signed = Buffer.allocUnsafe(65);
  const { recid } = secp256k1.ecdsaSign(digest, key, undefined, signed.subarray(0, 64));
  signed[64] = 27 + recid;
  return signed;
}

/** Address whose key made `signature` (r ‖ s ‖ v) over `digest`. @throws Error when nobody's did */
export function recover(digest: Uint8Array, signature: Uint8Array): Buffer {
  const v = signature[64];
  if (signature.length !== 65 || (v !== 27 && v !== 28))
    throw new RangeError('a signature is 65 bytes, the last 27 or 28');
  return addressOfPublicKey(secp256k1.ecdsaRecover(signature.subarray(0, 64), v - 27, digest, false));
}

/** Whether s of `signature` (r ‖ s ‖ v) is in the lower half order, as Ethereum has asked since Homestead. */
export function isLowS(signature: Uint8Array): boolean {
  return Buffer.compare(signature.subarray(32, 64), HALF_ORDER) <= 0;
}

const HALF_ORDER = Buffer.from('7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0', 'hex');

function addressOfPublicKey(uncompressed: Uint8Array): Buffer {
  return keccak256(uncompressed.subarray(1)).subarray(12);
}
