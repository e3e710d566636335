import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { addressOf } from '../../libs/chain-client/src/keys/secp256k1.js';
import { toHex } from '../../libs/platform/src/bytes.js';
import { type SigningServer, startSigningServer } from '../stack/web3signer.js';
import { expectStatus, type Hospital, type Hospitals, startHospitals } from './hospitals.js';

describe('hospitals that hold no key of a relayer', () => {
  const servers: SigningServer[] = [];
  let hospitals: Hospitals;
  let a: Hospital;

  beforeAll(async () => {
    hospitals = await startHospitals({
      async relayers({ relayerKeys: [key] }, chainId) {
        const server = await startSigningServer([key!], BigInt(chainId));
        servers.push(server);
        const url = server.url.replace('http://', 'http://gateway:a-password-nobody-may-see@');
        return [{ kind: 'web3signer', address: toHex(addressOf(key!)), url }];
      },
    });
    a = hospitals.a;
    await a.register('clinician.a', ['clinician']);
  });
  afterAll(async () => {
    await hospitals?.close();
    await Promise.all(servers.map((server) => server.close()));
  });

  it('open records and look at them as any other', async () => {
    const content = { resourceType: 'Patient', id: 'one' };
    const recordId = await a.open('clinician.a', '4711', content);
    const look = await a.call(
      'clinician.a',
      ['clinician'],
      'POST',
      `/v1/emrs/${recordId}/queries`,
      { purpose: 'TREAT' },
      {
        prefer: 'wait=20, return=representation',
      },
    );
    expect(expectStatus(look, 201).body).toEqual(content);
    expect(servers.some(({ requests }) => requests.length > 0)).toBe(true);
  });

  it('accept while the signer refuses, say so to the administrator, and go on when it signs again', async () => {
    const recordId = await a.open('clinician.a', '4712', { resourceType: 'Patient', id: 'two' });
    for (const server of servers) {
      server.answer = () => {
        throw new Error('Request denied');
      };
    }
    const path = `/v1/emrs/${recordId}/queries`;
    const asked = await a.call('clinician.a', ['clinician'], 'POST', path, { purpose: 'TREAT' }, { prefer: 'wait=2' });
    const { id, state, transaction } = expectStatus(asked, 202).body;
    expect({ state, transaction }).toEqual({ state: 'accepted', transaction: undefined });
    const signers = await a.call('admin.x', ['admin'], 'GET', '/v1/admin/signers');
    expect(signers.text).toContain('Request denied');
    const { id: signer } = signers.body.items.find(({ network }: { network: string }) => network === 'local');
    const out = await a.call('admin.x', ['admin'], 'GET', `/v1/admin/signers/${signer}/transactions`);
    const [{ nonce, ...assigned }] = out.body.items;
    expect(assigned).toMatchObject({ state: 'assigned', operations: [{ id }], attempts: [] });
    const noop = `/v1/admin/signers/${signer}/transactions/${nonce}/noop`;
    expectStatus(await a.call('admin.x', ['admin'], 'POST', noop, { reason: 'STUCK' }), 404);
    const metrics = await a.metrics();
    expect(Number(/emr_oldest_waiting_seconds\{network="local"\} (\S+)/.exec(metrics)?.[1])).toBeGreaterThan(1);
    expect(metrics).toContain(`emr_signer_nonce_gap{network="local",signer="${signer}"} 0`);
    for (const server of servers) server.answer = undefined;
    await expect
      .poll(async () => (await a.call('clinician.a', ['clinician'], 'GET', `/v1/operations/${id}`)).body.state, {
        timeout: 10_000,
      })
      .toBe('confirmed');
  });

  it("show the signer's password nowhere", async () => {
    const seen = JSON.stringify(a.log) + (await a.call('admin.x', ['admin'], 'GET', '/v1/admin/networks')).text;
    expect(seen).not.toContain('a-password-nobody-may-see');
  });
});
