import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type TestGateway, testGateway } from '../../../../test/stack/gateway.js';

let gateway: TestGateway;
let superuser: pg.Client;
let token: string;

beforeAll(async () => {
  gateway = await testGateway();
  superuser = new pg.Client({ connectionString: gateway.database.superuserUrl });
  await superuser.connect();
  token = await gateway.token('admin.a', ['admin']);
});
afterAll(async () => {
  await superuser?.end();
  await gateway?.close();
});

function get(path: string): Promise<Response> {
  return fetch(gateway.url + path, { headers: { authorization: `Bearer ${token}` } });
}

describe('a gateway without its database', () => {
  it('answers 503 with Retry-After, stays alive, and goes on once the database is back', async () => {
    expect((await get('/v1/operations')).status).toBe(200);
    const role = `${gateway.database.name}_gateway`;
    await superuser.query(`ALTER ROLE ${role} CONNECTION LIMIT 0`);
    await superuser.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1', [role]);
    for (const path of ['/v1/operations', '/v1/admin/actors', '/health/ready']) {
      const response = await get(path);
      expect({ path, status: response.status, body: await response.json() }).toMatchObject({
        status: 503,
        body: { code: 'DATABASE_UNAVAILABLE' },
      });
      expect(Number(response.headers.get('retry-after'))).toBeGreaterThan(0);
    }
    expect((await get('/health/live')).status).toBe(200);
    await superuser.query(`ALTER ROLE ${role} CONNECTION LIMIT -1`);
    await expect.poll(async () => (await get('/v1/operations')).status, { timeout: 20_000 }).toBe(200);
  });
});

describe('a gateway that stops', () => {
  it('refuses what comes new while it ends what is under way', async () => {
    const draining = gateway.edge.drain(5_000);
    const response = await get('/v1/me');
    expect(response.status).toBe(503);
    expect(await response.json()).toMatchObject({ code: 'SHUTTING_DOWN' });
    await draining;
  });
});
