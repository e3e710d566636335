import { scrypt as nativeScrypt } from 'node:crypto';
import { readFile, rename, writeFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { decryptKeystoreJson, encryptKeystoreJson, getAddress, getBytes, hexlify, scrypt } from 'ethers';
import { toHex } from '../../../platform/src/bytes.js';
import { addressOf } from './secp256k1.js';

// ethers stretches in JavaScript, on the main thread and three times slower than OpenSSL.
const stretch = promisify<Uint8Array, Uint8Array, number, object, Buffer>(nativeScrypt);
scrypt.register(async (passphrase, salt, N, r, p, length) =>
  hexlify(await stretch(getBytes(passphrase), getBytes(salt), length, { N, r, p, maxmem: 128 * N * r * 2 })),
);

/** 128 MB and about 0.4 s: a stolen file resists guessing, start-up stays quick. geth's own default is 2^18. */
const SCRYPT = { N: 1 << 17, r: 8, p: 1 };

/**
 * Private key (32 bytes) of an Ethereum keystore V3 file.
 * @throws Error naming the file when it can't be read, is no keystore, or the passphrase is wrong
 */
export async function readKeystore(file: string, passphrase: string): Promise<Buffer> {
  try {
    const { privateKey } = await decryptKeystoreJson(await readFile(file, 'utf8'), passphrase);
    return Buffer.from(privateKey.slice(2), 'hex');
  } catch (cause) {
    throw new Error(`The keystore ${file} can't be opened: check the file and its passphrase.`, { cause });
  }
}

/** Writes `key` as an Ethereum keystore V3 file that only its owner may read; an existing file is replaced as a whole. */
export async function writeKeystore(file: string, key: Buffer, passphrase: string): Promise<void> {
  const account = { address: getAddress(toHex(addressOf(key))), privateKey: toHex(key) };
  const json = await encryptKeystoreJson(account, passphrase, { scrypt: SCRYPT });
  const draft = `${file}.${process.pid}.tmp`;
  await writeFile(draft, json, { mode: 0o600, flag: 'w' });
  await rename(draft, file);
}
