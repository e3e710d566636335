import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import secp256k1 from 'secp256k1';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  createVault,
  openVault,
  packWrapped,
  rotateVault,
  UnwrapError,
  unpackWrapped,
  type Vault,
  verifyIdentitySignature,
} from './vault.js';

const CHEAP = 2 ** 10;
const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length }).map((a) => Buffer.from(a));
let directory: string;
let vault: Vault;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'vault-'));
  vault = await createVault(directory, 'correct horse', CHEAP);
});
afterAll(() => rm(directory, { recursive: true, force: true }));

describe('vault file', () => {
  it('opens again with everything it had', async () => {
    const again = await openVault(directory, 'correct horse');
    const scope = { issuer: 'i', clientId: 'c', subject: 's', key: 'k' };
    expect(again.requestId(scope)).toEqual(vault.requestId(scope));
    expect(again.identityPublicKey).toEqual(vault.identityPublicKey);
    expect(again.transferKey).toEqual(vault.transferKey);
    expect(again.unwrap(vault.wrap(Buffer.from('x'), Buffer.from('a')), Buffer.from('a')).toString()).toBe('x');
  });

  it('is readable by its owner only and shows no secret', async () => {
    const path = join(directory, 'vault.json');
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    const text = await readFile(path, 'utf8');
    expect(text).not.toContain(vault.transferPrivateKey(1).toString('base64'));
  });

  it('refuses a wrong passphrase', async () => {
    await expect(openVault(directory, 'wrong')).rejects.toThrow(/passphrase/);
  });

  it('refuses a file whose cost was lowered', async () => {
    const other = await mkdtemp(join(tmpdir(), 'vault-'));
    await createVault(other, 'p', CHEAP);
    const path = join(other, 'vault.json');
    await writeFile(path, (await readFile(path, 'utf8')).replace('"n": 1024', '"n": 512'));
    await expect(openVault(other, 'p')).rejects.toThrow(/does not open/);
    await rm(other, { recursive: true });
  });

  it('is never overwritten', async () => {
    await expect(createVault(directory, 'correct horse', CHEAP)).rejects.toMatchObject({ code: 'EEXIST' });
  });

  it('keeps old keys readable after a rotation', async () => {
    const other = await mkdtemp(join(tmpdir(), 'vault-'));
    const before = await createVault(other, 'p', CHEAP);
    const sealed = before.wrap(Buffer.from('secret'), Buffer.alloc(0));
    const after = await rotateVault(other, 'p', { kek: true, transferKey: true }, CHEAP);
    const reopened = await openVault(other, 'p');
    expect(reopened.unwrap(sealed, Buffer.alloc(0)).toString()).toBe('secret');
    expect(after.wrap(Buffer.from('x'), Buffer.alloc(0)).kekId).toBe('kek-2');
    expect(reopened.transferKey.id).toBe(2);
    expect(reopened.transferPrivateKey(1)).toEqual(before.transferPrivateKey(1));
    expect(() => before.unwrap(after.wrap(Buffer.from('x'), Buffer.alloc(0)), Buffer.alloc(0))).toThrow(UnwrapError);
    await rm(other, { recursive: true });
  });
});

describe('wrap', () => {
  it('returns what was wrapped, and only with the same associated data and bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array(), fc.uint8Array(), fc.nat(), (plain, aad, at) => {
        const sealed = vault.wrap(Buffer.from(plain), Buffer.from(aad));
        expect(vault.unwrap(sealed, Buffer.from(aad))).toEqual(Buffer.from(plain));
        expect(() => vault.unwrap(sealed, Buffer.concat([aad, Buffer.of(0)]))).toThrow(UnwrapError);
        const altered = Buffer.from(sealed.bytes);
        const index = at % altered.length;
        altered[index] = altered[index]! ^ 1;
        expect(() => vault.unwrap({ ...sealed, bytes: altered }, Buffer.from(aad))).toThrow(UnwrapError);
      }),
      { numRuns: 50 },
    );
  });

  it('survives being packed into one value', () => {
    const sealed = vault.wrap(Buffer.from('x'), Buffer.from('a'));
    expect(unpackWrapped(packWrapped(sealed))).toEqual(sealed);
    expect(() => vault.unwrap(unpackWrapped(Buffer.alloc(0)), Buffer.from('a'))).toThrow(UnwrapError);
  });

  it('never opens what is too short', () => {
    expect(() => vault.unwrap({ kekId: 'kek-1', bytes: Buffer.alloc(27) }, Buffer.alloc(0))).toThrow(UnwrapError);
  });
});

describe('derivations', () => {
  it('keep fields apart that run into each other when joined', () => {
    const one = { issuer: 'ab', clientId: 'c', subject: 's', key: 'k' };
    const two = { issuer: 'a', clientId: 'bc', subject: 's', key: 'k' };
    expect(vault.requestId(one)).not.toEqual(vault.requestId(two));
    expect(vault.principal(one)).not.toEqual(vault.principal(two));
    expect(vault.requestId({ ...one, key: 'k', step: 'x' })).not.toEqual(vault.requestId({ ...one, key: 'kx' }));
  });

  it('begin a record id with the hospital', () => {
    fc.assert(
      fc.property(bytes(32), fc.integer({ min: 1, max: 2 ** 32 - 1 }), (requestId, hospital) => {
        const recordId = vault.recordId(hospital, requestId);
        expect(recordId).toHaveLength(32);
        expect(recordId.readUInt32BE()).toBe(hospital);
        expect(vault.recordId(hospital, requestId)).toEqual(recordId);
      }),
    );
  });

  it('make subject keys that secp256k1 accepts', () => {
    fc.assert(
      fc.property(bytes(32), (requestId) => {
        const key = vault.subjectKey(requestId);
        expect(secp256k1.privateKeyVerify(key)).toBe(true);
        expect(vault.subjectKey(requestId)).toEqual(key);
      }),
    );
  });

  it('give an actor the same key whatever became of the database, and nobody else the same', async () => {
    const key = vault.actorKey('issuer', 'subject');
    expect(secp256k1.privateKeyVerify(key)).toBe(true);
    expect((await openVault(directory, 'correct horse')).actorKey('issuer', 'subject')).toEqual(key);
    expect(vault.actorKey('issuer', 'subject2')).not.toEqual(key);
    expect(vault.actorKey('issuers', 'ubject')).not.toEqual(key);
    const other = await createVault(await mkdtemp(join(directory, 'other-')), 'correct horse', CHEAP);
    expect(other.actorKey('issuer', 'subject')).not.toEqual(key);
  });

  it('give each request, plaintext and context keys of its own', () => {
    const [r, p, c] = [randomBytes(32), randomBytes(32), randomBytes(8)];
    const keys = vault.deriveContentKeys(r, p, c);
    expect(keys.dek).toHaveLength(32);
    expect(keys.nonce).toHaveLength(12);
    expect(vault.deriveContentKeys(r, p, c)).toEqual(keys);
    for (const other of [
      vault.deriveContentKeys(randomBytes(32), p, c),
      vault.deriveContentKeys(r, randomBytes(32), c),
      vault.deriveContentKeys(r, p, randomBytes(8)),
    ]) {
      expect(other.dek).not.toEqual(keys.dek);
    }
  });

  it('index identifiers differently in different vaults', async () => {
    const other = await mkdtemp(join(tmpdir(), 'vault-'));
    const second = await createVault(other, 'p', CHEAP);
    expect(second.indexOf('MRN-1')).not.toEqual(vault.indexOf('MRN-1'));
    expect(vault.indexOf('MRN-1')).toEqual(vault.indexOf('MRN-1'));
    await rm(other, { recursive: true });
  });

  it('tie an auth context to each of its parts', () => {
    const [salt, token] = [randomBytes(16), randomBytes(32)];
    const context = vault.authContext(salt, token, 'urn:acr', 'client');
    expect(context).toHaveLength(32);
    expect(vault.authContext(salt, token, undefined, 'client')).not.toEqual(context);
    expect(vault.authContext(randomBytes(16), token, 'urn:acr', 'client')).not.toEqual(context);
  });
});

describe('identity', () => {
  it('signs what its public key verifies', () => {
    const message = Buffer.from('package');
    const signature = vault.sign(message);
    expect(verifyIdentitySignature(vault.identityPublicKey, message, signature)).toBe(true);
    expect(verifyIdentitySignature(vault.identityPublicKey, Buffer.from('other'), signature)).toBe(false);
    const foreign = generateKeyPairSync('ed25519').publicKey.export({ format: 'der', type: 'spki' }).subarray(-32);
    expect(verifyIdentitySignature(foreign, message, signature)).toBe(false);
  });

  it('answers false to malformed keys and signatures', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), fc.uint8Array({ maxLength: 70 }), (key, signature) => {
        expect(verifyIdentitySignature(Buffer.from(key), Buffer.from('m'), Buffer.from(signature))).toBe(false);
      }),
    );
  });
});
