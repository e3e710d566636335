import { createHash, createPrivateKey, generateKeyPairSync, sign } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { buildPackage, openPackage, type PackageSubject } from './transfer-package.js';

const raw = (text: string | undefined) => Buffer.from(text!, 'base64url');
const receiver = generateKeyPairSync('x25519').privateKey.export({ format: 'jwk' });
const sender = generateKeyPairSync('ed25519');
const identityKey = raw(sender.publicKey.export({ format: 'jwk' }).x);
const signWith = (message: Buffer) => sign(null, message, sender.privateKey);
const privateKeyOf = (id: number) => {
  if (id !== 3) throw new RangeError('no such key');
  return raw(receiver.d);
};

const manifest = Buffer.from('{"v":1}');
const subject: PackageSubject = {
  chainId: 81n,
  contract: Buffer.alloc(20, 1),
  transferId: Buffer.alloc(32, 2),
  recordId: Buffer.alloc(32, 3),
  version: 4,
  from: 1,
  to: 2,
  contentHash: createHash('sha256').update(manifest).digest(),
};
const content = {
  manifest,
  ciphertext: Buffer.from('ciphertext'),
  dek: Buffer.alloc(32, 9),
  patient: { system: 'urn:hospital-a:mrn', value: 'canary-000123' },
};
const build = (transferKeyId = 3) =>
  buildPackage(subject, content, { transferKey: raw(receiver.x), transferKeyId }, signWith);

describe('a transfer package', () => {
  it('opens for whom it was made', async () => {
    expect(await openPackage(await build(), subject, identityKey, privateKeyOf)).toEqual(content);
  });

  it('shows neither key nor patient outside the seal', async () => {
    const bytes = await build();
    expect(bytes.includes('canary')).toBe(false);
    expect(bytes.includes(content.dek.toString('hex'))).toBe(false);
  });

  it('is refused when any byte was changed, or when it was cut', async () => {
    const bytes = await build();
    for (const at of [0, 3, 4, 40, bytes.length - 70, bytes.length - 1]) {
      const changed = Buffer.from(bytes);
      changed[at]! ^= 1;
      await expect(openPackage(changed, subject, identityKey, privateKeyOf)).rejects.toThrow(/package/);
    }
    for (const length of [0, 3, 64, 100, bytes.length - 1]) {
      await expect(openPackage(bytes.subarray(0, length), subject, identityKey, privateKeyOf)).rejects.toThrow(
        /package/,
      );
    }
  });

  it.each<[string, Partial<PackageSubject>]>([
    ['another transfer', { transferId: Buffer.alloc(32, 7) }],
    ['another record', { recordId: Buffer.alloc(32, 7) }],
    ['another version', { version: 5 }],
    ['another chain', { chainId: 82n }],
    ['another contract', { contract: Buffer.alloc(20, 7) }],
    ['another receiver', { to: 3 }],
    ['another content', { contentHash: Buffer.alloc(32, 7) }],
  ])('is refused for %s', async (_, over) => {
    await expect(openPackage(await build(), { ...subject, ...over }, identityKey, privateKeyOf)).rejects.toThrow(
      'not of this transfer',
    );
  });

  it('is refused when another hospital signed it, or for a key that is not here', async () => {
    const other = createPrivateKey(generateKeyPairSync('ed25519').privateKey.export({ format: 'pem', type: 'pkcs8' }));
    const forged = await buildPackage(subject, content, { transferKey: raw(receiver.x), transferKeyId: 3 }, (message) =>
      sign(null, message, other),
    );
    await expect(openPackage(forged, subject, identityKey, privateKeyOf)).rejects.toThrow('not signed');
    await expect(openPackage(await build(4), subject, identityKey, privateKeyOf)).rejects.toThrow('does not open');
  });
});
