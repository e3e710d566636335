import { exportJWK, generateKeyPair, SignJWT, UnsecuredJWT } from 'jose';
import { beforeAll, describe, expect, it } from 'vitest';
import { ProblemError } from '../../../../libs/platform/src/errors.js';
import { type IssuerEntry, Issuers } from './issuers.js';
import { TokenVerifier } from './token-verifier.js';

const NOW = 1_800_000_000;
const ISSUER = 'https://issuer.test';
type Keys = Awaited<ReturnType<typeof generateKeyPair>>;

let ours: Keys;
let others: Keys;
let edwards: Keys;
let issuers: Issuers;
let now = NOW;

function entry(fields: Partial<IssuerEntry>): IssuerEntry {
  return {
    issuer: ISSUER,
    hospital: 1,
    roles: ['clinician', 'auditor'],
    algorithms: ['ES256', 'EdDSA'],
    clients: [],
    ...fields,
  };
}

function verifier(): TokenVerifier {
  return new TokenVerifier(issuers, { hospital: 1, audience: 'gateway' }, () => now);
}

function claims(fields: Record<string, unknown> = {}): Record<string, unknown> {
  const usual = {
    iss: ISSUER,
    sub: 'clinician.a',
    aud: 'gateway',
    iat: NOW,
    exp: NOW + 600,
    jti: 'one',
    client_id: 'web',
    hospital: 1,
    roles: ['clinician', 'admin', 'wizard'],
  };
  return JSON.parse(JSON.stringify({ ...usual, ...fields }));
}

function sign(payload: Record<string, unknown>, header: Record<string, unknown> = {}, key = ours): Promise<string> {
  return new SignJWT(payload).setProtectedHeader({ alg: 'ES256', kid: 'k', ...header }).sign(key.privateKey);
}

async function refusal(token: string): Promise<string> {
  try {
    await verifier().verify(token);
  } catch (error) {
    if (error instanceof ProblemError && error.code === 'UNAUTHENTICATED') {
      expect(error.headers['WWW-Authenticate']).toContain('error="invalid_token"');
      return error.message;
    }
    throw error;
  }
  return 'accepted';
}

beforeAll(async () => {
  [ours, others, edwards] = await Promise.all([
    generateKeyPair('ES256'),
    generateKeyPair('ES256'),
    generateKeyPair('EdDSA', { crv: 'Ed25519' }),
  ]);
  const keys = [
    { ...(await exportJWK(ours.publicKey)), kid: 'k', alg: 'ES256' },
    { ...(await exportJWK(edwards.publicKey)), kid: 'e', alg: 'EdDSA' },
  ] as unknown as { kty: string }[];
  issuers = new Issuers(
    [
      entry({ jwks: { keys } }),
      entry({ issuer: 'https://b.test', hospital: 2, jwks: { keys } }),
      entry({ issuer: 'https://down.test', jwksUri: 'http://127.0.0.1:1/jwks' }),
    ],
    undefined,
  );
});

describe('a token', () => {
  it('gives the caller, with roles cut down to what the issuer may hand out', async () => {
    const verified = await verifier().verify(await sign(claims({ acr: 'mfa' })));
    expect(verified).toMatchObject({
      issuer: ISSUER,
      subject: 'clinician.a',
      clientId: 'web',
      hospital: 1,
      roles: ['clinician'],
      acr: 'mfa',
    });
    expect(verified.tokenHash).toHaveLength(32);
  });

  it('may be signed with EdDSA', async () => {
    expect(await refusal(await sign(claims(), { alg: 'EdDSA', kid: 'e' }, edwards))).toBe('accepted');
  });

  it('is taken by a gateway whose clock is a minute behind the issuer’s, and by none further behind', async () => {
    const { subject } = await verifier().verify(await sign(claims({ iat: NOW + 60 })));
    expect(subject).toBe(claims().sub);
    await expect(verifier().verify(await sign(claims({ iat: NOW + 61 })))).rejects.toThrow('future');
  });

  it('is remembered, but not beyond its time', async () => {
    const token = await sign(claims());
    const one = verifier();
    const first = await one.verify(token);
    expect(await one.verify(token)).toBe(first);
    now = NOW + 600;
    await expect(one.verify(token)).rejects.toThrow('expired');
    now = NOW;
  });

  const wrong: [string, Record<string, unknown>, string][] = [
    ['expired', { iat: NOW - 900, exp: NOW - 300 }, 'expired'],
    ['not valid yet', { nbf: NOW + 100 }, 'not valid yet'],
    ['issued in the future', { iat: NOW + 100 }, 'future'],
    ['too long-lived', { exp: NOW + 3_601 }, 'one hour'],
    ['for another audience', { aud: 'other' }, 'aud'],
    ['of an unknown issuer', { iss: 'https://evil.test' }, 'not trusted'],
    ['for another hospital', { hospital: 2 }, 'may not speak'],
    ['of another hospital’s issuer', { iss: 'https://b.test', hospital: 2 }, 'another hospital'],
    ['of another hospital’s issuer that claims ours', { iss: 'https://b.test' }, 'may not speak'],
    ['without subject', { sub: undefined }, 'sub'],
    ['without jti', { jti: undefined }, 'jti'],
    ['without client', { client_id: undefined }, 'client_id'],
    ['without expiry', { exp: undefined }, 'exp'],
    ['with roles that are no list', { roles: 'clinician' }, 'roles'],
    ['with a hospital in words', { hospital: '1' }, 'hospital'],
  ];
  it.each(wrong)('%s is refused', async (_name, fields, reason) => {
    expect(await refusal(await sign(claims(fields)))).toContain(reason);
  });

  it('signed by another key, or altered, is refused', async () => {
    expect(await refusal(await sign(claims(), {}, others))).toContain('signature');
    const [header, , signature] = (await sign(claims())).split('.');
    const payload = Buffer.from(JSON.stringify(claims({ sub: 'admin' }))).toString('base64url');
    expect(await refusal(`${header}.${payload}.${signature}`)).toContain('signature');
  });

  it('that is unsigned, signed with a shared secret, or brings its own key is refused', async () => {
    expect(await refusal(new UnsecuredJWT(claims()).encode())).toContain('algorithm');
    const symmetric = await new SignJWT(claims()).setProtectedHeader({ alg: 'HS256' }).sign(Buffer.alloc(32, 1));
    expect(await refusal(symmetric)).toContain('algorithm');
    for (const name of ['jku', 'x5u']) {
      expect(await refusal(await sign(claims(), { [name]: 'https://evil.test/keys' }))).toContain(name);
    }
    expect(await refusal(await sign(claims(), { jwk: await exportJWK(ours.publicKey) }))).toContain('jwk');
    expect(await refusal(await sign(claims(), { kid: 'unknown' }))).toContain('key');
  });

  it('that is none is refused', async () => {
    for (const token of ['a', 'a.b.c', '..', `${'x'.repeat(9_000)}`, 'e30.e30.'])
      expect(await refusal(token)).not.toBe('accepted');
  });

  it('can’t be judged while the issuer’s keys are out of reach, and says so', async () => {
    const error: unknown = await verifier()
      .verify(await sign(claims({ iss: 'https://down.test' })))
      .catch((e: unknown) => e);
    expect(error).toMatchObject({ code: 'ISSUER_UNAVAILABLE', status: 503 });
  });
});
