import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ContentDamaged, openContent, sealContent } from './sealed-content.js';

const place = { chainId: 80n, recordId: randomBytes(32), version: 1 };
const keys = () => ({ dek: randomBytes(32), nonce: randomBytes(12) });

describe('sealed content', () => {
  it('opens to the bytes and media type that were sealed, and is the same each time', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (data) => {
        const plaintext = Buffer.from(data);
        const k = keys();
        const sealed = sealContent(plaintext, 'image/png', place, k);
        expect(openContent(sealed, k.dek)).toEqual({ mediaType: 'image/png', bytes: plaintext });
        expect(sealContent(plaintext, 'image/png', place, k)).toEqual(sealed);
      }),
    );
  });

  it('refuses any altered byte, another hash and another key', () => {
    const k = keys();
    const sealed = sealContent(Buffer.from('content'), 'text/plain', place, k);
    for (const part of ['manifest', 'contentHash', 'ciphertext'] as const) {
      for (let at = 0; at < sealed[part].length; at++) {
        const altered = Buffer.from(sealed[part]);
        altered[at] = altered[at]! ^ 1;
        expect(() => openContent({ ...sealed, [part]: altered }, k.dek)).toThrow(ContentDamaged);
      }
    }
    expect(() => openContent(sealed, randomBytes(32))).toThrow(ContentDamaged);
    expect(() => openContent({ ...sealed, ciphertext: Buffer.alloc(0) }, k.dek)).toThrow(ContentDamaged);
  });

  it('writes the manifest as canonical JSON, without the key', () => {
    const k = keys();
    const { manifest } = sealContent(Buffer.from('x'), 'text/plain', place, k);
    const text = manifest.toString();
    const names = Object.keys(JSON.parse(text));
    expect(names).toEqual([...names].sort());
    expect(text).not.toMatch(/\s/);
    expect(text).not.toContain(k.dek.toString('hex'));
  });

  it('is bound to its place', () => {
    const k = keys();
    const one = sealContent(Buffer.from('x'), 'text/plain', place, k);
    const two = sealContent(Buffer.from('x'), 'text/plain', { ...place, version: 2 }, k);
    expect(one.ciphertext).not.toEqual(two.ciphertext);
  });
});
