import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { computeAddress, SigningKey, Transaction, Wallet } from 'ethers';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { toHex } from '../../../platform/src/bytes.js';
import { readKeystore, writeKeystore } from './keystore.js';
import { addressOf, newKey, recover, signDigest } from './secp256k1.js';
import { signLegacyTransaction } from './transaction.js';

const bytes = (length: number) =>
  fc.uint8Array({ minLength: length, maxLength: length }).map((array) => Buffer.from(array));
const keys = bytes(32).filter((key) => key.some((byte) => byte !== 0) && key[0] !== 0xff);
const quantity = (bits: number) => fc.bigInt({ min: 0n, max: (1n << BigInt(bits)) - 1n });

describe('signDigest', () => {
  it('signs as ethers does, and the signer is recovered', () => {
    fc.assert(
      fc.property(keys, bytes(32), (key, digest) => {
        const signature = signDigest(key, digest);
        expect(toHex(signature)).toBe(new SigningKey(key).sign(digest).serialized);
        expect(recover(digest, signature)).toEqual(addressOf(key));
        expect(toHex(addressOf(key))).toBe(computeAddress(toHex(key)).toLowerCase());
      }),
      { numRuns: 50 },
    );
  });

  it('refuses a signature of another form', () => {
    expect(() => recover(Buffer.alloc(32), Buffer.alloc(64))).toThrow(RangeError);
    expect(() => recover(Buffer.alloc(32), Buffer.alloc(65))).toThrow(RangeError);
  });
});

describe('signLegacyTransaction', () => {
  it('makes the very bytes and hash that ethers makes', () => {
    const transactions = fc.record({
      chainId: fc.bigInt({ min: 1n, max: (1n << 52n) - 1n }),
      nonce: quantity(50),
      gasPrice: quantity(100),
      gasLimit: quantity(60),
      to: fc.option(bytes(20), { nil: undefined }),
      value: quantity(200),
      data: fc.uint8Array({ maxLength: 300 }).map((array) => Buffer.from(array)),
    });
    fc.assert(
      fc.property(transactions, keys, (transaction, key) => {
        const oracle = Transaction.from({
          type: 0,
          chainId: transaction.chainId,
          nonce: Number(transaction.nonce),
          gasPrice: transaction.gasPrice,
          gasLimit: transaction.gasLimit,
          to: transaction.to === undefined ? null : toHex(transaction.to),
          value: transaction.value,
          data: toHex(transaction.data),
        });
        oracle.signature = new SigningKey(key).sign(oracle.unsignedHash);
        const signed = signLegacyTransaction(transaction, key);
        expect(toHex(signed.raw)).toBe(oracle.serialized);
        expect(toHex(signed.hash)).toBe(oracle.hash);
        expect(Transaction.from(toHex(signed.raw)).from?.toLowerCase()).toBe(toHex(addressOf(key)));
      }),
      { numRuns: 60 },
    );
  });
});

describe('a keystore', () => {
  it('gives the key back to its passphrase alone, and other tools can open it', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'keystore-'));
    try {
      const file = join(folder, 'relayer.json');
      const key = newKey();
      await writeKeystore(file, key, 'a passphrase');
      expect(await readKeystore(file, 'a passphrase')).toEqual(key);
      expect((await stat(file)).mode & 0o777).toBe(0o600);
      await expect(readKeystore(file, 'another')).rejects.toThrow(file);
      await expect(readKeystore(join(folder, 'none.json'), 'x')).rejects.toThrow('none.json');
      const json = await import('node:fs/promises').then(({ readFile }) => readFile(file, 'utf8'));
      expect((await Wallet.fromEncryptedJson(json, 'a passphrase')).address.toLowerCase()).toBe(toHex(addressOf(key)));
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
