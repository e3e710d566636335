import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type TestGateway, testGateway } from '../../../../test/stack/gateway.js';
import { PeeringStore } from '../peering/peering.store.js';

const ISSUER = 'urn:test:builtin';
const PASSWORD = 'correct horse battery';

let gateway: TestGateway;
let systemKey: Awaited<ReturnType<typeof generateKeyPair>>;

beforeAll(async () => {
  systemKey = await generateKeyPair('ES256');
  const directory = await mkdtemp(join(tmpdir(), 'emr-test-admin-'));
  await writeFile(join(directory, 'admin.json'), JSON.stringify({ username: 'admin.a', password: PASSWORD }));
  const client = { clientId: 'lab', jwks: { keys: [await exportJWK(systemKey.publicKey)] }, roles: ['clinician'] };
  const issuers = [
    { issuer: ISSUER, builtin: true, hospital: 1, roles: ['clinician', 'admin', 'auditor'], clients: [client] },
  ];
  gateway = await testGateway({
    issuers,
    env: { BUILTIN_ISSUER: 'on', BOOTSTRAP_ADMIN_FILE: join(directory, 'admin.json') },
  });
});
afterAll(() => gateway?.close());

function post(path: string, body: unknown, token?: string): Promise<Response> {
  return fetch(gateway.url + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...(token ? { authorization: `Bearer ${token}` } : {}) },
    body: JSON.stringify(body),
  });
}

async function logIn(username: string, password: string): Promise<string> {
  const response = await post('/v1/auth/token', { username, password });
  expect(response.status).toBe(200);
  return ((await response.json()) as { accessToken: string }).accessToken;
}

async function me(token: string): Promise<unknown> {
  return (await fetch(`${gateway.url}/v1/me`, { headers: { authorization: `Bearer ${token}` } })).json();
}

function assertion(claims: Record<string, unknown> = {}): Promise<string> {
  return new SignJWT({ iss: 'lab', sub: 'lab', aud: ISSUER, jti: crypto.randomUUID(), ...claims })
    .setProtectedHeader({ alg: 'ES256' })
    .setIssuedAt()
    .setExpirationTime('2m')
    .sign(systemKey.privateKey);
}

function grant(clientAssertion: string): unknown {
  return {
    grantType: 'client_credentials',
    clientAssertionType: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
    clientAssertion,
  };
}

describe('the built-in issuer', () => {
  it('knows the first administrator, who adds users, who log in', async () => {
    const admin = await logIn('admin.a', PASSWORD);
    expect(await me(admin)).toMatchObject({ subject: 'admin.a', hospital: 1, roles: ['admin'], issuer: ISSUER });
    const user = { username: 'clinician.a', password: 'twelve characters', roles: ['clinician'] };
    expect((await post('/v1/admin/users', user, admin)).status).toBe(201);
    expect((await post('/v1/admin/users', user, admin)).status).toBe(201);
    expect((await post('/v1/admin/users', { ...user, password: 'another password' }, admin)).status).toBe(409);
    expect((await post('/v1/admin/users', { ...user, username: 'x.a', roles: ['device'] }, admin)).status).toBe(400);
    expect((await post('/v1/admin/users', { ...user, username: 'lab' }, admin)).status).toBe(409);
    expect(await me(await logIn('clinician.a', user.password))).toMatchObject({ roles: ['clinician'] });
    const page = await fetch(`${gateway.url}/v1/admin/users?limit=1`, {
      headers: { authorization: `Bearer ${admin}` },
    });
    const text = await page.text();
    expect(text).not.toContain('argon2');
    // The link to the next page names nobody: a URL ends up in logs.
    const [, next = ''] = /^<(.+)>; rel="next"$/.exec(page.headers.get('link') ?? '') ?? [];
    const cursor = new URL(next, gateway.url).searchParams.get('cursor') ?? '';
    expect(Buffer.from(cursor, 'base64url').toString()).not.toContain('admin.a');
    const second = await fetch(gateway.url + next, { headers: { authorization: `Bearer ${admin}` } });
    expect(((await second.json()) as { items: object[] }).items).toEqual([
      expect.objectContaining({ username: 'clinician.a' }),
    ]);
  });

  it('lets a suspended user do nothing more, with old tokens neither, until reinstated', async () => {
    const admin = await logIn('admin.a', PASSWORD);
    const { username, ...words } = { username: 'nurse.a', password: 'twelve characters', roles: ['clinician'] };
    expect((await post('/v1/admin/users', { username, ...words }, admin)).status).toBe(201);
    const token = await logIn(username, words.password);
    const suspended = await post('/v1/admin/users/suspension', { username }, admin);
    expect(suspended.status).toBe(200);
    expect(await suspended.json()).toMatchObject({ username, disabled: true });
    expect((await post('/v1/auth/token', { username, password: words.password })).status).toBe(401);
    // Standing is looked up anew after a second at most.
    await expect.poll(() => me(token), { timeout: 3_000 }).toMatchObject({ status: 403, code: 'FORBIDDEN' });
    expect((await post('/v1/admin/users/reinstatement', { username }, admin)).status).toBe(200);
    const again = await logIn(username, words.password);
    await expect.poll(() => me(again), { timeout: 3_000 }).toMatchObject({ subject: username });
    expect((await post('/v1/admin/users/suspension', { username: 'nobody' }, admin)).status).toBe(404);
    expect((await post('/v1/admin/users/suspension', { username: 'admin.a' }, admin)).status).toBe(409);
    expect((await post('/v1/admin/users/suspension', { username: 'admin.a' }, token)).status).toBe(403);
  });

  it('publishes its keys, and keeps the private one sealed', async () => {
    const { keys } = (await (await fetch(`${gateway.url}/v1/auth/jwks.json`)).json()) as { keys: object[] };
    expect(keys).toEqual([expect.objectContaining({ kty: 'OKP', crv: 'Ed25519', alg: 'EdDSA' })]);
    expect(JSON.stringify(keys)).not.toContain('"d"');
  });

  it('refuses wrong passwords and unknown names alike, and stops guessing before it hashes', async () => {
    const wrong = await post('/v1/auth/token', { username: 'admin.a', password: 'wrong' });
    const unknown = await post('/v1/auth/token', { username: 'nobody', password: 'wrong' });
    const texts = [await wrong.json(), await unknown.json()] as { detail: string }[];
    expect([wrong.status, unknown.status]).toEqual([401, 401]);
    expect(texts[0]?.detail).toBe(texts[1]?.detail);
    const statuses: number[] = [];
    for (let guess = 0; guess < 11; guess++) {
      const response = await post('/v1/auth/token', { username: 'victim', password: `guess ${guess}` });
      statuses.push(response.status);
      if (response.status === 429) expect(Number(response.headers.get('retry-after'))).toBeGreaterThan(0);
    }
    expect(statuses.filter((status) => status === 429)).toHaveLength(1);
  });

  it('gives a registered system a token for a signed assertion, once', async () => {
    const signed = await assertion();
    const response = await post('/v1/auth/token', grant(signed));
    const { accessToken } = (await response.json()) as { accessToken: string };
    expect(await me(accessToken)).toMatchObject({ subject: 'lab', clientId: 'lab', roles: ['clinician'] });
    expect((await post('/v1/auth/token', grant(signed))).status).toBe(401);
    for (const claims of [{ aud: 'other' }, { iss: 'other' }, { sub: 'other' }, { jti: undefined }]) {
      expect((await post('/v1/auth/token', grant(await assertion(claims)))).status).toBe(401);
    }
  });

  it('remembers an assertion for as long as it would be taken, its tolerance included', async () => {
    const now = Math.floor(Date.now() / 1000);
    const signed = await new SignJWT({
      iss: 'lab',
      sub: 'lab',
      aud: ISSUER,
      jti: 'just expired',
      iat: now - 60,
      exp: now - 1,
    })
      .setProtectedHeader({ alg: 'ES256' })
      .sign(systemKey.privateKey);
    expect((await post('/v1/auth/token', grant(signed))).status).toBe(200);
    await gateway.app.get(PeeringStore).forgetExpired();
    expect((await post('/v1/auth/token', grant(signed))).status).toBe(401);
  });

  it('writes no password or token to the log', () => {
    const log = gateway.log.join('');
    expect(log).not.toContain(PASSWORD);
    expect(log).not.toContain('eyJ');
  });
});
