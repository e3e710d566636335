import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TEST_ISSUER, type TestGateway, testGateway } from '../../../../test/stack/gateway.js';
import { roleBits } from './caller.js';

const PROXY = '127.0.0.1';

let gateway: TestGateway;
/** As the superuser: it stands for the indexer. */
let mirror: pg.Client;

beforeAll(async () => {
  gateway = await testGateway({ env: { WORKER: 'off', TRUSTED_PROXIES: PROXY } });
  mirror = new pg.Client({ connectionString: gateway.database.superuserUrl });
  await mirror.connect();
});
afterAll(async () => {
  await mirror?.end();
  await gateway?.close();
});

/** A registered actor, as registration and indexer leave it. */
async function actor(subject: string, bits: number): Promise<Buffer> {
  const address = crypto.getRandomValues(Buffer.alloc(20));
  await mirror.query(
    `INSERT INTO gateway.actor_key (address, kind, issuer, subject, roles) VALUES ($1, 'actor', $2, $3, '{}')`,
    [address, TEST_ISSUER, subject],
  );
  await mirror.query(
    `INSERT INTO mirror.actor (network, address, hospital, roles, custody, active) VALUES ('local', $1, 1, $2, 0, true)`,
    [address, bits],
  );
  return address;
}

const suspend = (address: Buffer) =>
  mirror.query('UPDATE mirror.actor SET active = false WHERE address = $1', [address]);

function ask(path: string, token: string, headers: Record<string, string> = {}): Promise<Response> {
  return fetch(gateway.url + path, { headers: { authorization: `Bearer ${token}`, ...headers } });
}

describe('a registered actor', () => {
  it('has the roles that token and ledger agree on', async () => {
    await actor('demoted.a', roleBits(['clinician']));
    const token = await gateway.token('demoted.a', ['clinician', 'records-officer', 'patient']);
    expect(await (await ask('/v1/me', token)).json()).toMatchObject({ roles: ['clinician', 'patient'] });
    const linking = await fetch(`${gateway.url}/v1/emrs/0x${'00'.repeat(32)}/subject-account`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify({ subject: 'patient.a' }),
    });
    expect(linking.status).toBe(403);
  });

  it('once suspended is refused, and an open event stream ends', async () => {
    const address = await actor('leaver.a', roleBits(['clinician']));
    const token = await gateway.token('leaver.a', ['clinician', 'admin']);
    const registered = await fetch(`${gateway.url}/v1/admin/actors`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', 'idempotency-key': 'leaver' },
      body: JSON.stringify({ issuer: TEST_ISSUER, subject: 'other.a', roles: ['clinician'] }),
    });
    const { id } = (await registered.json()) as { id: string };
    const stream = await ask(`/v1/operations/${id}/stream`, token, { accept: 'text/event-stream' });
    expect(stream.status).toBe(200);
    await suspend(address);
    // Nothing decides the act: without the suspension the stream would go on for minutes.
    expect(await stream.text()).toContain('"state":"accepted"');
    expect((await ask('/v1/me', token)).status).toBe(403);
  });

  it('cannot take every event stream there is', async () => {
    const token = await gateway.token('greedy.a', ['admin']);
    const list = (await (await ask('/v1/operations', token)).json()) as { items: { id: string }[] };
    const path = `/v1/operations/${list.items[0]!.id}/stream`;
    const open = await Promise.all(Array.from({ length: 20 }, () => ask(path, token, { accept: 'text/event-stream' })));
    expect(open.map(({ status }) => status)).toEqual(open.map(() => 200));
    await Promise.all(open.map(({ body }) => body!.getReader().read()));
    expect((await ask(path, token, { accept: 'text/event-stream' })).status).toBe(429);
  });
});

describe('guesses from one address', () => {
  it('lock out neither a known client of that address nor other addresses behind the proxy', async () => {
    const good = await gateway.token('ward.a', ['clinician']);
    const from = (address: string) => ({ 'x-forwarded-for': address });
    expect((await ask('/v1/me', good, from('203.0.113.1'))).status).toBe(200);
    let status = 401;
    for (let tries = 0; tries < 400 && status === 401; tries++) {
      status = (await ask('/v1/me', 'x.y.z', from('203.0.113.1'))).status;
    }
    expect(status).toBe(429);
    expect((await ask('/v1/me', good, from('203.0.113.1'))).status).toBe(200);
    const unknown = await gateway.token('ward.b', ['clinician']);
    expect((await ask('/v1/me', unknown, from('203.0.113.1'))).status).toBe(429);
    expect((await ask('/v1/me', unknown, from('203.0.113.2'))).status).toBe(200);
  });
});
