import { createKeccak, type IHasher } from 'hash-wasm';

// One WebAssembly instance, made once while the module loads: hashing itself is synchronous.
const hasher: IHasher = await createKeccak(256);

/** Keccak-256 as Ethereum uses it (the padding before FIPS 202), 32 bytes. */
export function keccak256(...parts: Uint8Array[]): Buffer {
  hasher.init();
  for (const part of parts) hasher.update(part);
  // Copied into Node's pool: asked for its ArrayBuffer, a small array gets one of its own, which costs more than the hash of a word.
  return Buffer.from(hasher.digest('binary'));
}
