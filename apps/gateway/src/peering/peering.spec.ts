import { createHash, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createLogger } from '../../../../libs/platform/src/logger.js';
import type { NetworksConfig } from '../../../../libs/platform/src/networks.js';
import { signRequest } from '../../../../libs/vault/src/http-signatures.js';
import type { Vault } from '../../../../libs/vault/src/vault.js';
import { PeerClient } from './peer.client.js';
import { PeerListener } from './peer.listener.js';
import type { PeeringStore, RegisteredHospital } from './peering.store.js';
import { PeersService } from './peers.service.js';

const networks = { local: 'l', global: 'g', networks: [{ name: 'l' }, { name: 'g' }] } as unknown as NetworksConfig;
const raw = (key: KeyObject) => Buffer.from(key.export({ format: 'jwk' }).x!, 'base64url');
const sha256 = (text: string) => createHash('sha256').update(text).digest();

/** Sends bytes as they are. @returns all that comes back until the other side closes */
function raws(port: number, bytes: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    const socket = connect(port, '127.0.0.1', () => socket.write(bytes));
    socket.setTimeout(5000, () => socket.destroy(new Error('not closed')));
    socket.on('data', (part) => {
      text += part.toString();
    });
    socket.on('close', () => resolve(text));
    socket.on('error', reject);
  });
}

/** The registry and the table of used nonces, in memory. */
class FakeStore {
  readonly hospitals = new Map<number, RegisteredHospital>();
  readonly used = new Set<string>();
  find = async (_network: string, id: number) => this.hospitals.get(id);
  useNonce = async (hash: Buffer) => !this.used.has(hash.toString('hex')) && !!this.used.add(hash.toString('hex'));
  forgetExpired = async () => {};
}

describe('from gateway to gateway', () => {
  const identity = generateKeyPairSync('ed25519');
  const vault = { sign: (message: Buffer) => sign(null, message, identity.privateKey) } as unknown as Vault;
  let store: FakeStore;
  let listener: PeerListener;
  let urls: Map<number, string>;
  let client: PeerClient;
  let base: string;

  beforeEach(async () => {
    store = new FakeStore();
    urls = new Map();
    const peers = new PeersService(store as unknown as PeeringStore, networks, urls);
    listener = new PeerListener(
      { hospital: 2, host: '127.0.0.1', port: 0, bodyLimit: 1024, window: 60 },
      peers,
      store as unknown as PeeringStore,
      createLogger('test', 'silent'),
    );
    listener.route('POST', '/peer/v1/echo/:id', async ({ from, params, body }) => ({
      status: 200,
      body: { from, id: params.id, body: body.toString() },
    }));
    listener.route('GET', '/peer/v1/bytes', async () => ({ status: 200, body: Buffer.alloc(100, 1) }));
    listener.route('GET', '/peer/v1/broken', async () => {
      throw new Error('secret');
    });
    await listener.onApplicationBootstrap();
    base = `http://127.0.0.1:${listener.port}`;
    const keys = { transferKey: Buffer.alloc(32), transferKeyId: 1 };
    store.hospitals.set(1, { id: 1, identityKey: raw(identity.publicKey), endpointHash: Buffer.alloc(32), ...keys });
    store.hospitals.set(2, { id: 2, identityKey: Buffer.alloc(32), endpointHash: sha256(base), ...keys });
    urls.set(2, base);
    client = new PeerClient(peers, vault, { HOSPITAL_ID: 1 });
  });
  afterEach(() => listener.onModuleDestroy());

  const signed = (path: string, body: string, over: { recipient?: string; keyId?: string } = {}) => {
    const request = {
      method: 'POST',
      url: `${base}${path}`,
      headers: { 'content-type': 'text/plain' },
      body: Buffer.from(body),
    };
    const options = { keyId: '1', recipient: '2', sign: (message: Buffer) => vault.sign(message), ...over };
    return { ...request.headers, ...signRequest(request, options) };
  };
  const post = (path: string, headers: Record<string, string>, body: string) =>
    fetch(`${base}${path}`, { method: 'POST', headers, body });

  it('a signed request arrives, and says who sent it', async () => {
    const answer = await client.request(2, { method: 'POST', path: '/peer/v1/echo/7', body: Buffer.from('hi') });
    expect(JSON.parse(answer.body.toString())).toEqual({ from: 1, id: '7', body: 'hi' });
    const bytes = await client.request(2, { method: 'GET', path: '/peer/v1/bytes' });
    expect(bytes.body).toEqual(Buffer.alloc(100, 1));
  });

  it('an unsigned request and a user token are refused', async () => {
    const bare = await post('/peer/v1/echo/7', { 'content-type': 'text/plain' }, 'hi');
    expect(bare.status).toBe(401);
    expect(bare.headers.get('content-type')).toMatch(/^application\/problem\+json/);
    const token = { ...signed('/peer/v1/echo/7', 'hi'), authorization: 'Bearer x' };
    expect((await post('/peer/v1/echo/7', token, 'hi')).status).toBe(401);
    expect(store.used.size).toBe(0);
  });

  it('another body, another path, another hospital or a second time is refused', async () => {
    const headers = signed('/peer/v1/echo/7', 'hi');
    expect((await post('/peer/v1/echo/8', headers, 'hi')).status).toBe(401);
    expect((await post('/peer/v1/echo/7', headers, 'ho')).status).toBe(401);
    const again = signed('/peer/v1/echo/7', 'hi');
    expect((await post('/peer/v1/echo/7', again, 'hi')).status).toBe(200);
    expect((await post('/peer/v1/echo/7', again, 'hi')).status).toBe(401);
    const other = signed('/peer/v1/echo/7', 'hi', { recipient: '3' });
    expect((await post('/peer/v1/echo/7', other, 'hi')).status).toBe(401);
    const unknown = signed('/peer/v1/echo/7', 'hi', { keyId: '9' });
    expect((await post('/peer/v1/echo/7', unknown, 'hi')).status).toBe(401);
  });

  it('a hospital that was suspended is refused', async () => {
    store.hospitals.delete(1);
    await expect(client.request(2, { method: 'GET', path: '/peer/v1/bytes' })).rejects.toMatchObject({
      code: 'PEER_UNAVAILABLE',
    });
  });

  it('a request that this hospital signed itself, sent back, is refused', async () => {
    store.hospitals.set(2, { ...store.hospitals.get(2)!, identityKey: raw(identity.publicKey) });
    expect((await post('/peer/v1/echo/7', signed('/peer/v1/echo/7', 'hi', { keyId: '2' }), 'hi')).status).toBe(401);
    expect(store.used.size).toBe(0);
  });

  it('nobody unknown gets to send a body, and a nonce is spent for nobody unknown', async () => {
    const { port } = new URL(base);
    const answer = await raws(
      Number(port),
      'POST /peer/v1/echo/7 HTTP/1.1\r\nhost: x\r\ncontent-type: a/b\r\ncontent-length: 1000\r\n\r\nhalf',
    );
    expect(answer).toMatch(/^HTTP\/1\.1 401 /);
    expect(answer).toMatch(/connection: close/i);
    expect(answer).toContain('"content-digest"');
    expect(store.used.size).toBe(0);
  });

  it.each([
    ['a URL that is none', 'GET /peer/v1/%zz-secret HTTP/1.1\r\nhost: x\r\n\r\n', '400'],
    ['an absolute target', 'GET http://other/peer/v1/secret HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n', '400'],
    ['a path with dots', 'GET /peer/v1/x/../secret HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n', '400'],
    ['no HTTP', 'secret\r\n\r\n', '400'],
    ['headers without end', `GET / HTTP/1.1\r\nhost: x\r\nx: secret${'x'.repeat(20_000)}\r\n\r\n`, '431'],
  ])('%s gets a problem document that quotes nothing', async (_, bytes, status) => {
    const answer = await raws(listener.port, bytes.replace('host: x\r\n\r\n', 'host: x\r\nconnection: close\r\n\r\n'));
    expect(answer).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    expect(answer).toContain('application/problem+json');
    expect(answer).not.toContain('secret');
  });

  it('an unknown route is 404, a large body 413, a failure 500 that tells nothing', async () => {
    expect((await client.request(2, { method: 'GET', path: '/peer/v1/none' })).status).toBe(404);
    const large = 'x'.repeat(2000);
    expect((await post('/peer/v1/echo/7', signed('/peer/v1/echo/7', large), large)).status).toBe(413);
    await expect(client.request(2, { method: 'GET', path: '/peer/v1/broken' })).rejects.toMatchObject({
      code: 'PEER_UNAVAILABLE',
    });
  });

  it('an address that the registry does not vouch for is not called', async () => {
    urls.set(2, `${base}/other`);
    await expect(client.request(2, { method: 'GET', path: '/peer/v1/bytes' })).rejects.toMatchObject({
      code: 'PEER_UNAVAILABLE',
    });
    await expect(client.request(3, { method: 'GET', path: '/peer/v1/bytes' })).rejects.toMatchObject({
      code: 'PEER_UNAVAILABLE',
    });
  });

  it('a peer that is away is 502, one that is silent 504, one that talks too much 502', async () => {
    const silent: Server = createServer(() => {});
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    const elsewhere = `http://127.0.0.1:${(silent.address() as AddressInfo).port}`;
    urls.set(2, elsewhere);
    store.hospitals.set(2, { ...store.hospitals.get(2)!, endpointHash: sha256(elsewhere) });
    const call = (timeoutMs: number) => client.request(2, { method: 'GET', path: '/peer/v1/bytes', timeoutMs });
    await expect(call(50)).rejects.toMatchObject({ code: 'PEER_TIMEOUT', status: 504 });
    silent.closeAllConnections();
    await new Promise((resolve) => silent.close(resolve));
    await expect(call(5000)).rejects.toMatchObject({ code: 'PEER_UNAVAILABLE', status: 502 });
    urls.set(2, base);
    store.hospitals.set(2, { ...store.hospitals.get(2)!, endpointHash: sha256(base) });
    await expect(client.request(2, { method: 'GET', path: '/peer/v1/bytes', maxBytes: 50 })).rejects.toMatchObject({
      code: 'PEER_UNAVAILABLE',
    });
  });
});
