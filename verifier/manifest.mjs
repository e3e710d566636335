// The signed manifest beside an export.
import { createPublicKey, verify } from 'node:crypto';
import { check } from './fault.mjs';
import { bytes, members, parseExactly } from './fields.mjs';

/** @param {string} text @param {string} format @param {string[]} names members between `format` and `signature` */
export function readManifest(text, format, names) {
  const manifest = members(parseExactly(text, 'the manifest'), ['format', ...names, 'signature'], 'the manifest');
  check(manifest.format === format, `the manifest's format is ${manifest.format}, and this program knows ${format}`);
  const { signature, ...signed } = manifest;
  members(signature, ['key', 'value'], "the manifest's signature");
  const key = bytes(signature.key, 'signature.key', 32);
  const message = Buffer.from(`${format}\n${JSON.stringify(signed)}`);
  const value = bytes(signature.value, 'signature.value', 64);
  check(isSigned(key, message, value), "the manifest's signature is not that of its key over its text");
  return { manifest: signed, key };
}

/** Ed25519 (RFC 8032). */
function isSigned(key, message, signature) {
  try {
    const jwk = { kty: 'OKP', crv: 'Ed25519', x: key.toString('base64url') };
    return verify(null, message, createPublicKey({ key: jwk, format: 'jwk' }), signature);
  } catch {
    return false; // no point on the curve
  }
}
