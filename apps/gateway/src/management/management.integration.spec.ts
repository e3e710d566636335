import { DataSource } from 'typeorm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type TestGateway, testGateway } from '../../../../test/stack/gateway.js';
import { ManagementServer } from './management.server.js';

let gateway: TestGateway;
let url: string;

beforeAll(async () => {
  gateway = await testGateway();
  url = `http://127.0.0.1:${gateway.app.get(ManagementServer, { strict: false }).port}`;
});
afterAll(() => gateway?.close());

describe('the management port', () => {
  it('shows metrics by route pattern, never by URL', async () => {
    const token = await gateway.token('admin.a', ['admin']);
    await fetch(`${gateway.url}/v1/operations/op_${'1'.repeat(32)}`, { headers: { authorization: `Bearer ${token}` } });
    const metrics = await (await fetch(`${url}/metrics`)).text();
    expect(metrics).toContain('route="/v1/operations/:id"');
    expect(metrics).not.toContain('op_1111');
    expect(metrics).toContain('emr_acts_waiting{network="local"} 0');
  });

  it('shows what the alert rules stand on, and leaves out what a silent node would have to tell', async () => {
    const metrics = await (await fetch(`${url}/metrics`)).text();
    for (const line of [
      'emr_oldest_waiting_seconds{network="local"} 0',
      'emr_oldest_unmined_seconds{network="local"} 0',
      'emr_node_reachable{network="local"} 0',
      'emr_signers{network="local",state="active"} 1',
      'emr_signers{network="local",state="quarantined"} 0',
      'emr_sweeper_rescues_total{network="local"} 0',
      'emr_acts_without_effect{network="local",state="failed"} 0',
      'emr_acts_final_total{network="local",outcome="denied"} 0',
      'emr_acts_signed_total 0',
    ]) {
      expect(metrics.split('\n')).toContain(line);
    }
    for (const name of ['emr_signer_balance_wei', 'emr_signer_nonce_gap', 'emr_mirror_lag_blocks'])
      expect(metrics).not.toContain(`${name}{`);
  });

  it('tells in detail what the public port only hints at', async () => {
    const open = await (await fetch(`${gateway.url}/health/ready`)).json();
    expect(open).toEqual({ status: 'degraded' });
    const details = await (await fetch(`${url}/health/ready`)).json();
    expect(details).toMatchObject({
      status: 'degraded',
      reasons: expect.arrayContaining(['the node of local is out of reach']),
    });
  });

  it('names a signer that does not sign, and why', async () => {
    const database = gateway.app.get(DataSource, { strict: false });
    await database.query(`UPDATE gateway.signer SET reason = 'The clef signed nothing: Request denied'`);
    const { reasons } = (await (await fetch(`${url}/health/ready`)).json()) as { reasons: string[] };
    expect(reasons).toContainEqual(
      expect.stringMatching(/^the signer 0x[0-9a-f]{40} of local does not sign: .*Request denied$/),
    );
    const open = await (await fetch(`${gateway.url}/health/ready`)).text();
    expect(open).not.toContain('denied');
  });

  it('shows the queues, and lets nobody touch them', async () => {
    expect((await fetch(`${url}/queues`)).status).toBe(200);
    expect((await fetch(`${url}/queues/api/queues`)).status).toBe(200);
    for (const [method, path] of [
      ['PUT', '/queues/api/queues/submission-1/pause'],
      ['POST', '/queues/api/queues/submission-1/add'],
      ['DELETE', '/queues/api/queues/submission-1/1'],
    ]) {
      const response = await fetch(url + path, { method });
      expect([404, 405]).toContain(response.status);
    }
  });

  it('is not on the public port', async () => {
    for (const path of ['/metrics', '/queues', '/queues/api/queues']) {
      expect((await fetch(gateway.url + path)).status).toBe(404);
    }
  });
});
