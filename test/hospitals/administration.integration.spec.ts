import { randomBytes } from 'node:crypto';
import secp256k1 from 'secp256k1';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { testGeth } from '../stack/chain.js';
import { expectStatus, type Hospital, type Hospitals, startHospitals } from './hospitals.js';

const admin = ['admin'];
const hex = (bytes: number) => `0x${randomBytes(bytes).toString('hex')}`;

let hospitals: Hospitals;
let a: Hospital;
let b: Hospital;

beforeAll(async () => {
  hospitals = await startHospitals();
  ({ a, b } = hospitals);
});
afterAll(() => hospitals?.close());

const registry = async (hospital: Hospital) =>
  expectStatus(await hospital.call('anybody', ['auditor'], 'GET', '/v1/admin/hospitals'), 200).body.items;

describe('the registry of hospitals', () => {
  it('takes in a hospital once a majority of the others has voted for it', async () => {
    const newcomer = {
      ...{ id: 3, relayer: hex(20), registrar: hex(20), identityKey: hex(32), transferKey: hex(32) },
      ...{ transferKeyId: 1, endpointHash: hex(32) },
    };
    const vote = (hospital: Hospital) => hospital.call('admin.x', admin, 'POST', '/v1/admin/hospitals', newcomer);
    expect((await registry(a)).map(({ id }: { id: number }) => id)).toEqual([1, 2]);
    expectStatus(await vote(a), 200);
    expect(await registry(a)).toHaveLength(2);
    expectStatus(await vote(b), 200);
    await expect
      .poll(async () => (await registry(a))[2], { timeout: 10_000 })
      .toMatchObject({
        id: 3,
        active: true,
        registrar: newcomer.registrar,
        relayers: [newcomer.relayer],
      });
    expect(expectStatus(await vote(a), 403).body.code).toBe('DENIED_BY_LEDGER');
  });

  it('suspends a hospital, and takes it back, by the same majority', async () => {
    const vote = (hospital: Hospital, what: string) =>
      hospital.call('admin.x', admin, 'POST', `/v1/admin/hospitals/3/${what}`);
    for (const [what, active] of [
      ['suspension', false],
      ['reinstatement', true],
    ] as const) {
      expectStatus(await vote(a, what), 200);
      expect((await registry(a))[2].active).toBe(!active);
      expectStatus(await vote(b, what), 200);
      for (const hospital of [a, b])
        await expect.poll(async () => (await registry(hospital))[2].active, { timeout: 10_000 }).toBe(active);
    }
    const unknown = await a.call('admin.x', admin, 'POST', '/v1/admin/hospitals/9/suspension');
    expect(expectStatus(unknown, 403).body.reason).toBe('HOSPITAL_UNKNOWN');
  });

  it('has a hospital change its own keys, and nobody else’s', async () => {
    const [own] = await registry(a);
    const { registrar, identityKey, transferKey, transferKeyId } = own;
    const update = { registrar, identityKey, transferKey, transferKeyId, endpointHash: hex(32) };
    const change = (id: number) => a.call('admin.x', admin, 'POST', `/v1/admin/hospitals/${id}/keys`, update);
    expectStatus(await change(2), 403);
    expectStatus(await change(1), 200);
    for (const hospital of [a, b])
      await expect
        .poll(async () => (await registry(hospital))[0].endpointHash, { timeout: 10_000 })
        .toBe(update.endpointHash);
  });
});

describe('the networks of a hospital', () => {
  it('are shown as configured, as their nodes say, and as the mirror has them', async () => {
    const { body } = expectStatus(await a.call('admin.x', admin, 'GET', '/v1/admin/networks'), 200);
    expect(body.items.map(({ name, tiers }: { name: string; tiers: string[] }) => [name, tiers])).toEqual([
      ['local', ['local']],
      ['global', ['global']],
    ]);
    for (const network of body.items) {
      expect(network.node).toMatchObject({ reachable: true, head: expect.stringMatching(/^\d+$/) });
      expect(network.mirror.lag).toBeLessThan(20);
      expect(network.mirror.stopped).toBeUndefined();
    }
    expectStatus(await a.call('clinician.x', ['clinician'], 'GET', '/v1/admin/networks'), 403);
  });
});

// Anvil has no peers.
describe.runIf(await testGeth())('the nodes that a node stays connected to', () => {
  it('are of its own chain, remembered, and forgotten when told', async () => {
    const { body } = await a.call('admin.x', admin, 'GET', '/v1/admin/networks');
    const { chainId, genesisHash } = body.items.find(({ name }: { name: string }) => name === 'global');
    const key = Buffer.from(secp256k1.publicKeyCreate(randomBytes(32), false))
      .subarray(1)
      .toString('hex');
    const peer = { network: 'global', enode: `enode://${key}@127.0.0.1:1?discport=0` };
    const add = (over: object = {}) =>
      a.call('admin.x', admin, 'POST', '/v1/admin/peers', { ...peer, genesisHash, networkId: chainId, ...over });
    const list = async () => (await a.call('admin.x', admin, 'GET', '/v1/admin/peers')).body.items;

    const { nodes } = (await a.call('admin.x', admin, 'GET', '/v1/admin/peers')).body;
    expect(nodes.map(({ network }: { network: string }) => network)).toEqual(['local', 'global']);
    for (const node of nodes) {
      expect(node).toMatchObject({ reachable: true, peers: 0, enode: expect.stringMatching(/^enode:/) });
      expect(node).not.toHaveProperty('sync');
    }

    const other = hex(32);
    const refused = expectStatus(await add({ genesisHash: other }), 409);
    for (const value of [other, genesisHash]) expect(refused.body.detail).toContain(value);
    expectStatus(await add({ networkId: '1' }), 409);
    expectStatus(await add({ network: 'elsewhere' }), 404);
    expect(await list()).toEqual([]);

    expectStatus(await add(), 201);
    expectStatus(await add(), 201);
    expect(await list()).toEqual([{ ...peer, connected: false, createdAt: expect.any(String) }]);

    expectStatus(await a.call('admin.x', admin, 'POST', '/v1/admin/peers/removal', peer), 204);
    expect(await list()).toEqual([]);
  });
});
