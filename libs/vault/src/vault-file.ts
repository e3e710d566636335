import { createCipheriv, createDecipheriv, randomBytes, scrypt } from 'node:crypto';
import { link, open, readFile, rename, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';

/**
 * scrypt cost (RFC 7914): N = 2^16, r = 8, p = 1 takes 64 MiB and about a fifth of a second, once per process start.
 * The cost is stored in the file, so that it can rise without locking anybody out.
 */
export const DEFAULT_SCRYPT_COST = 2 ** 16;
const FILE_NAME = 'vault.json';

const base64 = z.string().transform((text) => Buffer.from(text, 'base64'));
const key32 = base64.refine((bytes) => bytes.length === 32, 'not 32 bytes');

const sealedFile = z.strictObject({
  v: z.literal(1),
  kdf: z.strictObject({
    name: z.literal('scrypt'),
    n: z
      .number()
      .int()
      .min(2)
      .max(2 ** 20),
    r: z.number().int().min(1).max(16),
    p: z.number().int().min(1).max(4),
    salt: base64,
  }),
  cipher: z.literal('aes-256-gcm'),
  nonce: base64,
  ciphertext: base64,
});

/** The opened vault: every secret of a hospital but its Ethereum keys. */
const vaultSecrets = z.strictObject({
  /** Key encryption keys, oldest first; the last one wraps, all of them unwrap. */
  keks: z.array(z.strictObject({ id: z.string().min(1), key: key32 })).min(1),
  requestSecret: key32,
  /** Never rotates: ciphertext, record ids and subject keys must come out the same after the loss of a database. */
  contentSecret: key32,
  indexSecret: key32,
  fingerprintSecret: key32,
  /** Ed25519 seed (RFC 8032). */
  identitySeed: key32,
  /** X25519 private keys (RFC 7748), oldest first; the last one is current. */
  transferKeys: z.array(z.strictObject({ id: z.number().int().positive(), privateKey: key32 })).min(1),
});
export type VaultSecrets = z.output<typeof vaultSecrets>;

/** @throws Error when the file is missing, damaged or the passphrase is wrong. */
export async function readVaultFile(directory: string, passphrase: string): Promise<VaultSecrets> {
  const path = join(directory, FILE_NAME);
  const file = sealedFile.parse(JSON.parse(await readFile(path, 'utf8')));
  const { n, r, p, salt } = file.kdf;
  const key = await stretch(passphrase, salt, { n, r, p });
  try {
    const decipher = createDecipheriv('aes-256-gcm', key, file.nonce, { authTagLength: 16 });
    decipher.setAAD(header(file.kdf));
    decipher.setAuthTag(file.ciphertext.subarray(-16));
    const plain = Buffer.concat([decipher.update(file.ciphertext.subarray(0, -16)), decipher.final()]);
    return vaultSecrets.parse(JSON.parse(plain.toString('utf8')));
  } catch (cause) {
    throw new Error(`The vault at ${path} does not open: wrong passphrase or damaged file.`, { cause });
  }
}

/**
 * Seals `secrets` into `directory`/vault.json, readable by its owner only.
 * @param mode 'create' never touches a vault that is already there: overwriting one loses every record under it.
 */
export async function writeVaultFile(
  directory: string,
  passphrase: string,
  secrets: VaultSecrets,
  mode: 'create' | 'replace',
  cost: number,
): Promise<void> {
  const path = join(directory, FILE_NAME);
  const kdf = { name: 'scrypt' as const, n: cost, r: 8, p: 1, salt: randomBytes(32) };
  const nonce = randomBytes(12);
  const cipher = createCipheriv('aes-256-gcm', await stretch(passphrase, kdf.salt, kdf), nonce, { authTagLength: 16 });
  cipher.setAAD(header(kdf));
  const plain = Buffer.from(JSON.stringify(secrets, (_, value) => fromBuffer(value)));
  const ciphertext = Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
  const text = JSON.stringify(
    { v: 1, kdf: { ...kdf, salt: kdf.salt.toString('base64') }, cipher: 'aes-256-gcm', nonce, ciphertext },
    (_, value) => fromBuffer(value),
    2,
  );
  // Written whole before it gets its name: a crash leaves the old vault or the new one, never half of one.
  const draft = `${path}.${process.pid}.new`;
  const handle = await open(draft, 'w', 0o600);
  try {
    await handle.writeFile(`${text}\n`);
    await handle.sync();
  } finally {
    await handle.close();
  }
  if (mode === 'replace') return rename(draft, path);
  try {
    await link(draft, path); // unlike rename, fails where a vault already is
  } finally {
    await unlink(draft);
  }
}

function header(kdf: { n: number; r: number; p: number; salt: Buffer }): Buffer {
  return Buffer.from(`emr-vault:1:scrypt:${kdf.n}:${kdf.r}:${kdf.p}:${kdf.salt.toString('base64')}`);
}

function stretch(passphrase: string, salt: Buffer, cost: { n: number; r: number; p: number }): Promise<Buffer> {
  const options = { N: cost.n, r: cost.r, p: cost.p, maxmem: 128 * cost.n * cost.r * 2 };
  return new Promise((resolve, reject) => {
    scrypt(passphrase.normalize('NFKC'), salt, 32, options, (error, key) => (error ? reject(error) : resolve(key)));
  });
}

// A Buffer has gone through its own toJSON before a replacer sees it.
function fromBuffer(value: unknown): unknown {
  const isBuffer = typeof value === 'object' && value !== null && 'type' in value && value.type === 'Buffer';
  return isBuffer && 'data' in value ? Buffer.from(value.data as number[]).toString('base64') : value;
}
