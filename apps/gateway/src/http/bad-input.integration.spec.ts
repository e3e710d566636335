import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type TestGateway, testGateway } from '../../../../test/stack/gateway.js';

const ACTORS = '/v1/admin/actors';
const registration = { issuer: 'https://issuer.test', subject: 'clinician.a', roles: ['clinician'] };

let gateway: TestGateway;
let admin: string;

beforeAll(async () => {
  gateway = await testGateway();
  admin = await gateway.token('admin.a', ['admin']);
});
afterAll(() => gateway?.close());

interface Ask {
  method?: string;
  headers?: Record<string, string>;
  body?: string | Uint8Array<ArrayBuffer> | Blob;
  /** null: none. Default: an administrator's. */
  token?: string | null;
}

async function ask(path: string, { method, headers = {}, body, token = admin }: Ask = {}): Promise<Response> {
  return fetch(gateway.url + path, {
    method: method ?? (body === undefined ? 'GET' : 'POST'),
    headers: { ...(token === null ? {} : { authorization: `Bearer ${token}` }), ...headers },
    ...(body === undefined ? {} : { body }),
  });
}

function post(body: unknown, headers: Record<string, string> = {}): Ask {
  const bytes = typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body);
  return {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'idempotency-key': crypto.randomUUID(), ...headers },
    body: bytes as string,
  };
}

/** Every refusal is a problem document with its own code, names its request, and tells nothing about the inside. */
async function expectProblem(response: Response, status: number, code: string): Promise<Record<string, unknown>> {
  const text = await response.text();
  expect({ status: response.status, text }).toMatchObject({ status });
  expect(response.headers.get('content-type')).toContain('application/problem+json');
  expect(response.headers.get('cache-control')).toBe('no-store');
  const problem = JSON.parse(text) as Record<string, unknown>;
  expect(problem).toMatchObject({ code, status, type: expect.stringMatching(/^\/problems\//) });
  expect(problem.instance).toBe(response.headers.get('x-request-id'));
  expect(text).not.toMatch(/node_modules|at .*\.(js|ts):\d+/);
  return problem;
}

/** What the server says to bytes no HTTP client would send. */
function raw(bytes: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const { port } = new URL(gateway.url);
    const socket = connect(Number(port), '127.0.0.1', () => socket.write(bytes));
    let answer = '';
    socket.setEncoding('utf8');
    socket.on('data', (chunk: string) => {
      answer += chunk;
    });
    socket.on('error', reject);
    socket.on('close', () => resolve(answer));
  });
}

async function acceptedActs(): Promise<number> {
  const response = await ask('/v1/operations?limit=200');
  return ((await response.json()) as { items: unknown[] }).items.length;
}

describe('a body', () => {
  const bodies: [string, unknown, number, string][] = [
    ['of the wrong type', { ...registration, subject: 7 }, 400, 'INVALID_INPUT'],
    ['without a field', { subject: 'x' }, 400, 'INVALID_INPUT'],
    ['with an unknown field', { ...registration, hospital: 2 }, 400, 'INVALID_INPUT'],
    ['with an over-long string', { ...registration, subject: 'x'.repeat(300) }, 400, 'INVALID_INPUT'],
    ['with a role the issuer may not hand out', { ...registration, roles: ['device'] }, 400, 'INVALID_INPUT'],
    ['with an unknown role', { ...registration, roles: ['wizard'] }, 400, 'INVALID_INPUT'],
    ['with an address of the wrong shape', { ...registration, address: '0x12' }, 400, 'INVALID_INPUT'],
    ['that is a list', [], 400, 'INVALID_INPUT'],
    ['that is null', 'null', 400, 'INVALID_INPUT'],
    ['that is no JSON', '{"subject":', 400, 'MALFORMED_REQUEST'],
    ['that is empty', '', 400, 'MALFORMED_REQUEST'],
    ['with __proto__', '{"__proto__":{"admin":true},"subject":"x","roles":["clinician"]}', 400, 'MALFORMED_REQUEST'],
    ['with constructor.prototype', '{"constructor":{"prototype":{"x":1}}}', 400, 'MALFORMED_REQUEST'],
    ['with U+0000', '{"subject":"a\\u0000b","roles":["clinician"]}', 400, 'MALFORMED_REQUEST'],
    ['in invalid UTF-8', new Uint8Array([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x7d]), 400, 'MALFORMED_REQUEST'],
    ['nested deeply', '['.repeat(5_000) + ']'.repeat(5_000), 400, 'MALFORMED_REQUEST'],
    ['that is huge', JSON.stringify({ subject: 'x'.repeat(120_000) }), 413, 'PAYLOAD_TOO_LARGE'],
  ];
  it.each(bodies)('%s is refused', async (_name, body, status, code) => {
    await expectProblem(await ask(ACTORS, post(body)), status, code);
  });

  it('names what is wrong by pointer, and never repeats the value', async () => {
    const problem = await expectProblem(
      await ask(ACTORS, post({ ...registration, roles: ['Jane Doe'] })),
      400,
      'INVALID_INPUT',
    );
    expect(problem.errors).toEqual([{ pointer: '/roles/0', message: expect.any(String) }]);
    expect(JSON.stringify(problem)).not.toContain('Jane');
  });

  const types = [
    'text/plain',
    'application/x-www-form-urlencoded',
    'multipart/form-data; boundary=x',
    'application/json; charset=utf-16',
    'nonsense',
  ];
  it.each(types)('sent as %s is refused', async (type) => {
    await expectProblem(await ask(ACTORS, post(registration, { 'content-type': type })), 415, 'UNSUPPORTED_MEDIA_TYPE');
  });

  it('sent compressed, or without a type, is refused', async () => {
    await expectProblem(
      await ask(ACTORS, post(registration, { 'content-encoding': 'gzip' })),
      415,
      'UNSUPPORTED_MEDIA_TYPE',
    );
    const untyped: Ask = { method: 'POST', headers: { 'idempotency-key': 'k' }, body: new Blob(['{}']) };
    await expectProblem(await ask(ACTORS, untyped), 415, 'UNSUPPORTED_MEDIA_TYPE');
  });

  it('for the token route has 4 kB at most', async () => {
    const body = { username: 'x', password: 'x'.repeat(5_000) };
    await expectProblem(await ask('/v1/auth/token', { ...post(body), token: null }), 413, 'PAYLOAD_TOO_LARGE');
  });
});

describe('a request', () => {
  it('for an unknown path, or with the wrong method, is refused', async () => {
    await expectProblem(await ask('/v1/nothing'), 404, 'NOT_FOUND');
    const response = await ask(ACTORS, { method: 'DELETE' });
    expect(response.headers.get('allow')).toBe('GET, HEAD, POST');
    await expectProblem(response, 405, 'METHOD_NOT_ALLOWED');
  });

  it.each([
    ['/v1/emrs', ['emrs', 1.5, 'ab'.repeat(32)]],
    ['/v1/emrs', ['emrs', 1e300, 'ab'.repeat(32)]],
    [`/v1/emrs/0x${'00'.repeat(32)}/grants`, ['grants', 0.1, 'ab'.repeat(32)]],
    ['/v1/operations', ['operations', '9999999999999999999']],
    ['/v1/admin/users', ['users', 'a\u0000']],
    ['/v1/admin/users', ['users', 'AAAA']],
    ['/v1/transfers', ['transfers', '2026-02-31 10:00:00+00', 'ab'.repeat(32)]],
    ['/v1/transfers', ['transfers', '1111111111111', 'ab'.repeat(32)]],
  ])('of %s with a forged cursor never gets as far as the database', async (path, key) => {
    const token = await gateway.token('admin.a', ['admin', 'auditor']);
    const cursor = Buffer.from(JSON.stringify(key)).toString('base64url');
    await expectProblem(await ask(`${path}?cursor=${cursor}`, { token }), 400, 'INVALID_CURSOR');
  });

  it('with ids, cursors or parameters of the wrong shape is refused', async () => {
    await expectProblem(await ask('/v1/operations/op_1'), 400, 'INVALID_INPUT');
    await expectProblem(await ask(`${ACTORS}/0xzz`), 400, 'INVALID_INPUT');
    await expectProblem(await ask(`${ACTORS}?cursor=abc`), 400, 'INVALID_CURSOR');
    for (const query of ['limit=0', 'limit=201', 'limit=x', 'limit=1&limit=2', 'unknown=1']) {
      await expectProblem(await ask(`${ACTORS}?${query}`), 400, 'INVALID_INPUT');
    }
    await expectProblem(await ask(`/v1/operations/op_${'0'.repeat(32)}`), 404, 'NOT_FOUND');
    await expectProblem(await ask(`${ACTORS}/${'a'.repeat(300)}`), 414, 'URI_TOO_LONG');
  });

  it('with a malformed URL is refused', async () => {
    await expectProblem(await ask('/v1/operations/%zz'), 400, 'MALFORMED_REQUEST');
    await expectProblem(await ask('/v1/operations?type=a%00b'), 400, 'MALFORMED_REQUEST');
  });

  it('that accepts nothing we have is refused', async () => {
    await expectProblem(await ask('/v1/me', { headers: { accept: 'image/png' } }), 406, 'NOT_ACCEPTABLE');
  });

  it('that asks for an act without a usable Idempotency-Key is refused', async () => {
    const { 'idempotency-key': _, ...headers } = post(registration).headers ?? {};
    await expectProblem(await ask(ACTORS, { ...post(registration), headers }), 400, 'IDEMPOTENCY_KEY_MISSING');
    await expectProblem(
      await ask(ACTORS, post(registration, { 'idempotency-key': 'a b' })),
      400,
      'IDEMPOTENCY_KEY_MISSING',
    );
  });

  it('that isn’t HTTP, or has endless headers, is answered on the socket', async () => {
    for (const [bytes, status, code] of [
      ['NONSENSE\r\n\r\n', 400, 'MALFORMED_REQUEST'],
      [`GET / HTTP/1.1\r\nHost: a\r\nX-Long: ${'x'.repeat(20_000)}\r\n\r\n`, 431, 'HEADERS_TOO_LARGE'],
    ] as const) {
      const answer = await raw(bytes);
      expect(answer).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
      expect(answer).toContain('application/problem+json');
      expect(answer).toContain(`"code":"${code}"`);
    }
  });
});

describe('a token', () => {
  const tokens: [string, Parameters<TestGateway['token']>[2]][] = [
    ['that expired', { claims: { iat: 1_000, exp: 2_000 } }],
    ['that was forged', { forged: true }],
    [
      'from the future',
      { claims: { iat: Math.floor(Date.now() / 1000) + 3_000, exp: Math.floor(Date.now() / 1000) + 3_300 } },
    ],
    ['for another audience', { claims: { aud: 'other' } }],
    ['of another issuer', { claims: { iss: 'https://evil.test' } }],
    ['for another hospital', { claims: { hospital: 2 } }],
    ['that points to its own keys', { header: { jku: 'https://evil.test' } }],
  ];
  it.each(tokens)('%s opens nothing', async (_name, options) => {
    const response = await ask('/v1/me', { token: await gateway.token('clinician.a', ['clinician'], options) });
    expect(response.headers.get('www-authenticate')).toContain('error="invalid_token"');
    await expectProblem(response, 401, 'UNAUTHENTICATED');
  });

  it('that is missing, or sent otherwise, opens nothing', async () => {
    const response = await ask('/v1/me', { token: null });
    expect(response.headers.get('www-authenticate')).toBe('Bearer realm="emr-gateway"');
    await expectProblem(response, 401, 'UNAUTHENTICATED');
    await expectProblem(
      await ask('/v1/me', { token: null, headers: { authorization: `Basic ${admin}` } }),
      401,
      'UNAUTHENTICATED',
    );
    await expectProblem(await ask(`/v1/me?access_token=${admin}`, { token: null }), 401, 'UNAUTHENTICATED');
  });

  it('without the role opens nothing', async () => {
    const token = await gateway.token('clinician.a', ['clinician']);
    await expectProblem(await ask(ACTORS, { token }), 403, 'FORBIDDEN');
  });

  it('is asked for before a body is read', async () => {
    const head = `POST ${ACTORS} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 50000\r\nConnection: close\r\n\r\n`;
    // The body never comes; an answer shows that nobody waited for it.
    expect(await raw(head)).toMatch(/^HTTP\/1.1 401 /);
  });

  it('of a roles claim beyond the issuer’s ceiling gains nothing', async () => {
    const response = await ask('/v1/me', { token: await gateway.token('x', ['device', 'auditor', 'root']) });
    expect(await response.json()).toMatchObject({ roles: ['auditor'] });
  });
});

describe('every answer', () => {
  it('carries the request id: the client’s if it is decent, else a new one', async () => {
    const given = await ask('/v1/me', { headers: { 'x-request-id': 'ward-7/42' } });
    expect(given.headers.get('x-request-id')).toBe('ward-7/42');
    const replaced = await ask('/v1/me', { headers: { 'x-request-id': 'x'.repeat(65) } });
    expect(replaced.headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/);
  });

  it('is guarded by security headers', async () => {
    const { headers } = await ask('/v1/me');
    expect(headers.get('x-content-type-options')).toBe('nosniff');
    expect(headers.get('content-security-policy')).toContain("default-src 'none'");
    expect(headers.get('x-powered-by')).toBeNull();
  });
});

describe('refused requests', () => {
  it('left nothing behind, and nothing personal in the log', async () => {
    expect(await acceptedActs()).toBe(0);
    const log = gateway.log.join('');
    expect(log).not.toContain(admin);
    expect(log).not.toContain('Jane');
    expect(log).not.toContain('access_token');
    expect(log).not.toContain('request failed');
  });
});
