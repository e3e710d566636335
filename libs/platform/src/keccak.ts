import { createKeccak, type IHasher } from 'hash-wasm';

// One WebAssembly instance, made once while the module loads: hashing itself is synchronous.
const hasher: IHasher = await createKeccak(256);

/** Keccak-256 as Ethereum uses it (the padding before FIPS 202), 32 bytes. */
export function keccak256(...parts: Uint8Array[]): Buffer {
  hasher.init();
  for (const part of parts) hasher.update(part);
  const digest = hasher.digest('binary');
  return Buffer.from(digest.buffer, digest.byteOffset, digest.byteLength);
}
