import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ed25519PublicKey, verifyRequest } from '../../../../libs/vault/src/http-signatures.js';
import { expectStatus, type Hospital, type Hospitals, startHospitals } from '../../../../test/hospitals/hospitals.js';

const admin = ['admin'];
const clinician = ['clinician'];
const content = { prefer: 'wait=20, return=representation' };

interface Told {
  webhookId: string;
  events: { id: string; network: string; sequence: string; type: string; recordId: string | null }[];
}

let hospitals: Hospitals;
let a: Hospital;
let record: string;
let receiver: Server;
let url: string;
let answer: (body: Told, response: ServerResponse) => void = (_body, response) => response.end();
const told: { body: Told; bytes: Buffer; request: IncomingMessage }[] = [];

beforeAll(async () => {
  hospitals = await startHospitals();
  a = hospitals.a;
  await a.register('clinician.a', clinician);
  record = await a.open('clinician.a', 'MRN-1', { resourceType: 'Bundle' });
  receiver = createServer(async (request, response) => {
    const bytes = await buffer(request).catch(() => undefined);
    if (bytes === undefined) return; // broken off in the middle: by the sender, or by us at the end
    const body = JSON.parse(bytes.toString()) as Told;
    told.push({ body, bytes, request });
    answer(body, response);
  });
  await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/events`;
});
afterAll(async () => {
  receiver?.closeAllConnections();
  receiver?.close();
  await hospitals?.close();
});

const look = () =>
  a.call('clinician.a', clinician, 'POST', `/v1/emrs/${record}/queries`, { purpose: 'TREAT' }, content);
const list = async () => expectStatus(await a.call('admin.a', admin, 'GET', '/v1/admin/webhooks'), 200).body.items;
const add = async (body: object) =>
  expectStatus(await a.call('admin.a', admin, 'POST', '/v1/admin/webhooks', body), 201).body;
const remove = async (id: string) =>
  expectStatus(await a.call('admin.a', admin, 'DELETE', `/v1/admin/webhooks/${id}`), 204);
const eventsOf = (id: string) => told.filter(({ body }) => body.webhookId === id).flatMap(({ body }) => body.events);
const until = (condition: () => boolean | Promise<boolean>) =>
  expect.poll(condition, { timeout: 30_000, interval: 50 }).toBe(true);

describe('a webhook', () => {
  it('is told of the whole history, in order, signed so that the receiver can tell who speaks', async () => {
    const hook = await add({ url, from: 'beginning' });
    await until(async () => (await list())[0].behind === 0);
    const events = eventsOf(hook.id);
    for (const network of ['local', 'global']) {
      const sequences = events.filter((event) => event.network === network).map(({ sequence }) => Number(sequence));
      expect(sequences.length).toBeGreaterThan(0);
      expect(sequences).toEqual(sequences.map((_, index) => index + 1));
    }
    expect(events.some(({ type, recordId }) => type === 'RecordOpened' && recordId === record)).toBe(true);

    const { request, bytes } = told.find(({ body }) => body.webhookId === hook.id)!;
    const key = ed25519PublicKey(Buffer.from(hook.publicKey, 'base64'));
    const verify = (body: Buffer) =>
      verifyRequest(
        { method: 'POST', url, headers: request.headers, body },
        {
          ...{ recipient: hook.id, tag: 'emr-gateway-webhook', now: Math.floor(Date.now() / 1000), window: 60 },
          ...{ keyOf: async () => key, useNonce: async () => true },
        },
      );
    await expect(verify(bytes)).resolves.toEqual({ keyId: '1' });
    await expect(verify(Buffer.concat([bytes, Buffer.from(' ')]))).rejects.toThrow('digest');
    await remove(hook.id);
  });

  it('gets each event at least once, and none out of order, from a receiver that refuses, breaks off and is slow', async () => {
    const hook = await add({ url, types: ['RecordQueried'] });
    const taken: string[] = [];
    let turn = 0;
    answer = (body, response) => {
      turn += 1;
      if (turn % 4 === 1) return void response.writeHead(503).end();
      taken.push(...body.events.map(({ id }) => id));
      // Taken, but the sender can't know: told again.
      if (turn % 4 === 2) return void response.destroy();
      if (turn % 4 === 3) return void response.writeHead(302, { location: url }).end();
      response.end();
    };
    const events: string[] = [];
    for (let round = 0; round < 4; round++) events.push(expectStatus(await look(), 201).body.event ?? '');
    await until(async () => (await list()).find(({ id }: { id: string }) => id === hook.id).behind === 0);
    answer = (_body, response) => response.end();
    const first = [...new Set(taken)];
    expect(first).toHaveLength(4);
    expect(taken.length).toBeGreaterThan(4);
    expect(first).toEqual([...first].sort((x, y) => Number(x.split('_')[2]) - Number(y.split('_')[2])));
    const [state] = (await list()).filter(({ id }: { id: string }) => id === hook.id);
    expect(state).toMatchObject({ failingSince: null, lastFailure: null });
    await remove(hook.id);
  });

  it('that fails says so, and goes on where it was once it answers, over a restart of the gateway', async () => {
    answer = (_body, response) => void response.writeHead(500).end();
    const hook = await add({ url });
    await look();
    const state = async () => (await list()).find(({ id }: { id: string }) => id === hook.id);
    await until(async () => (await state()).lastFailure === 'HTTP_500');
    expect((await state()).behind).toBeGreaterThan(0);
    expect(await a.metrics()).toMatch(/emr_webhook_behind_events [1-9]/);
    await a.stopGateway();
    answer = (_body, response) => response.end();
    await a.startGateway();
    await until(async () => (await state()).behind === 0);
    expect((await state()).lastFailure).toBeNull();
    await remove(hook.id);
    const before = told.length;
    await look();
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    expect(told.slice(before).filter(({ body }) => body.webhookId === hook.id)).toEqual([]);
  });

  it('is kept by administrators alone, and goes to no place a secret could leak to', async () => {
    expectStatus(await a.call('clinician.a', clinician, 'POST', '/v1/admin/webhooks', { url }), 403);
    for (const bad of [
      'http://10.0.0.1/x',
      'https://u:p@h.example/',
      'https://h.example/?token=1',
      'ftp://h.example',
      'x',
    ]) {
      expectStatus(await a.call('admin.a', admin, 'POST', '/v1/admin/webhooks', { url: bad }), 400);
    }
    const unknown = '0b6f4c8e-53a7-4c1e-9f0d-0c6d1f2b9a11';
    expectStatus(await a.call('admin.a', admin, 'DELETE', `/v1/admin/webhooks/${unknown}`), 404);
  });
});
