import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { computeAddress, decryptKeystoreJson, encryptKeystoreJson } from 'ethers';

/** File with the password of a node's own keystore. */
export const passwordFile = (dir: string) => join(dir, 'sealer.password');
const keystoreFile = (dir: string) => join(dir, 'keystore', 'sealer.json');

/** Puts the sealer's key into the node's keystore, under a password of the folder's own. @returns its address */
export async function importSealer(dir: string, key: Buffer): Promise<string> {
  const hex = `0x${key.toString('hex')}`;
  const address = computeAddress(hex).toLowerCase();
  if (existsSync(keystoreFile(dir)) && existsSync(passwordFile(dir))) {
    const there = `0x${JSON.parse(await readFile(keystoreFile(dir), 'utf8')).address}`.toLowerCase();
    if (there !== address) throw new Error(`${dir} holds the key of another sealer, ${there}`);
    return address;
  }
  await mkdir(join(dir, 'keystore'), { recursive: true, mode: 0o700 });
  const password = randomBytes(24).toString('base64url');
  // The password is random: stretching it would only slow the start.
  const json = await encryptKeystoreJson({ address, privateKey: hex }, password, { scrypt: { N: 4096, r: 8, p: 1 } });
  await writeFile(passwordFile(dir), `${password}\n`, { mode: 0o600 });
  await writeFile(keystoreFile(dir), json, { mode: 0o600 });
  return address;
}

/** The sealer's key from the node's keystore. @throws Error when there is none */
export async function readSealer(dir: string): Promise<Buffer> {
  const password = (await readFile(passwordFile(dir), 'utf8')).trim();
  const { privateKey } = await decryptKeystoreJson(await readFile(keystoreFile(dir), 'utf8'), password);
  return Buffer.from(privateKey.slice(2), 'hex');
}
