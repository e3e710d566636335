import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { calculateJwkThumbprint, exportJWK, generateKeyPair, importJWK, type JSONWebKeySet, type JWK } from 'jose';
import { z } from 'zod';
import type { Vault } from '../../../../libs/vault/src/vault.js';

const FILE = 'issuer.json';
const fileSchema = z.object({
  publicKey: z.looseObject({ kty: z.literal('OKP'), kid: z.string() }),
  /** The private JWK, sealed under the vault's key encryption key. */
  sealed: z.object({ kekId: z.string(), bytes: z.base64() }),
});

export interface BuiltinKeys {
  kid: string;
  privateKey: Awaited<ReturnType<typeof importJWK>>;
  jwks: JSONWebKeySet;
}

/** The Ed25519 key of the built-in issuer: a file of its own beside the vault, made at the first start, sealed by the vault. */
export async function openBuiltinKeys(directory: string, vault: Vault): Promise<BuiltinKeys> {
  const file = join(directory, FILE);
  const stored = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (stored === undefined) {
    await makeKeys(file, vault);
    return openBuiltinKeys(directory, vault);
  }
  const { publicKey, sealed } = fileSchema.parse(JSON.parse(stored));
  const wrapped = { kekId: sealed.kekId, bytes: Buffer.from(sealed.bytes, 'base64') };
  const secret = JSON.parse(vault.unwrap(wrapped, associatedData(publicKey.kid)).toString('utf8')) as JWK;
  const jwk = { ...(publicKey as JWK), alg: 'EdDSA', use: 'sig' };
  return { kid: publicKey.kid, privateKey: await importJWK(secret, 'EdDSA'), jwks: { keys: [jwk] } };
}

async function makeKeys(file: string, vault: Vault): Promise<void> {
  const pair = await generateKeyPair('EdDSA', { crv: 'Ed25519', extractable: true });
  const publicKey = await exportJWK(pair.publicKey);
  const kid = await calculateJwkThumbprint(publicKey);
  const { kekId, bytes } = vault.wrap(
    Buffer.from(JSON.stringify(await exportJWK(pair.privateKey))),
    associatedData(kid),
  );
  const content = JSON.stringify({
    publicKey: { ...publicKey, kid },
    sealed: { kekId, bytes: bytes.toString('base64') },
  });
  // Another replica that is faster wins; its key is read instead.
  await writeFile(file, content, { mode: 0o600, flag: 'wx' }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error;
  });
}

function associatedData(kid: string): Buffer {
  return Buffer.from(`builtin issuer ${kid}`);
}
