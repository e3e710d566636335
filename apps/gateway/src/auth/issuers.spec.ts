import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { readIssuers } from './issuers.js';

const folder = mkdtempSync(join(tmpdir(), 'issuers-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function read(jwksUri: string) {
  const file = join(folder, 'issuers.json');
  writeFileSync(file, JSON.stringify([{ issuer: 'https://issuer.test', jwksUri, hospital: 1, roles: ['clinician'] }]));
  return () => readIssuers(file);
}

describe('the keys of an issuer', () => {
  it('come over https, or from this machine', () => {
    for (const url of ['https://issuer.test/jwks', 'http://127.0.0.1:8080/jwks', 'http://localhost/jwks']) {
      expect(read(url)()).toHaveLength(1);
    }
    for (const url of ['http://issuer.test/jwks', 'http://127.0.0.1.issuer.test/jwks', 'file:///etc/jwks']) {
      expect(read(url)).toThrow(/jwksUri: must be https/);
    }
  });
});
