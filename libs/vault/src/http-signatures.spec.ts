import { createPrivateKey, generateKeyPairSync, sign, verify } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import {
  contentDigest,
  ed25519PublicKey,
  type HttpRequest,
  parseSignature,
  parseSignatureInput,
  SignatureRejected,
  signatureBase,
  signRequest,
  type VerifyOptions,
  verifyRequest,
} from './http-signatures.js';

describe('the signature base of RFC 9421, appendix B.2.6', () => {
  const request: HttpRequest = {
    method: 'POST',
    url: 'https://example.com/foo?param=Value&Pet=dog',
    headers: {
      date: 'Tue, 20 Apr 2021 02:07:55 GMT',
      'content-type': 'application/json',
      'content-length': '18',
    },
    body: Buffer.from('{"hello": "world"}'),
  };
  const input =
    'sig-b26=("date" "@method" "@path" "@authority" "content-type" "content-length");created=1618884473;keyid="test-key-ed25519"';
  const signature =
    'sig-b26=:wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==:';
  const { components, parameters, values } = parseSignatureInput(input, 'sig-b26');
  const base = signatureBase(request, components, parameters);

  it('is the published one', () => {
    expect(values).toEqual({ created: 1618884473, keyid: 'test-key-ed25519' });
    expect(base).toBe(
      [
        '"date": Tue, 20 Apr 2021 02:07:55 GMT',
        '"@method": POST',
        '"@path": /foo',
        '"@authority": example.com',
        '"content-type": application/json',
        '"content-length": 18',
        '"@signature-params": ("date" "@method" "@path" "@authority" "content-type" "content-length");created=1618884473;keyid="test-key-ed25519"',
      ].join('\n'),
    );
  });

  it('verifies with the published key and signs to the published octets', () => {
    const publicKey = ed25519PublicKey(Buffer.from('JrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=', 'base64'));
    const octets = parseSignature(signature, 'sig-b26');
    expect(verify(null, Buffer.from(base), publicKey, octets)).toBe(true);
    const privateKey = createPrivateKey({
      // the RFC's published example key
      key: Buffer.from('MC4CAQAwBQYDK2VwBCIEIJ+DYvh6SEqVTm50DFtMDoQikTmiCqirVv9mWG9qfSnF', 'base64'),
      format: 'der',
      type: 'pkcs8',
    });
    expect(sign(null, Buffer.from(base), privateKey)).toEqual(octets);
  });

  it('digests content as RFC 9530, appendix D does', () => {
    expect(contentDigest(Buffer.from('{"hello": "world"}'))).toBe(
      'sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:',
    );
  });
});

describe('requests between gateways', () => {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const NOW = 1_800_000_000;
  const plain: HttpRequest = {
    method: 'POST',
    url: 'http://peer.example:4102/peer/v1/transfers/0x01/package?x=1',
    headers: { 'content-type': 'application/octet-stream' },
    body: Buffer.from('body'),
  };
  const signed = (over: Partial<HttpRequest> = {}, created = NOW): HttpRequest => {
    const request = { ...plain, ...over };
    const headers = signRequest(request, {
      keyId: '1',
      sign: (m) => sign(null, m, privateKey),
      recipient: '2',
      created,
    });
    return { ...request, headers: { ...request.headers, ...headers } };
  };
  const options = (over: Partial<VerifyOptions> = {}): VerifyOptions => {
    const used = new Set<string>();
    return {
      recipient: '2',
      now: NOW,
      window: 60,
      keyOf: async (keyId) => (keyId === '1' ? publicKey : undefined),
      useNonce: async (_keyId, nonce) => !used.has(nonce) && !!used.add(nonce),
      ...over,
    };
  };
  const fault = (request: HttpRequest, over?: Partial<VerifyOptions>) =>
    verifyRequest(request, options(over)).then(
      () => 'none',
      (error: unknown) => (error as SignatureRejected).fault,
    );

  it('verify when untouched', async () => {
    expect(await verifyRequest(signed(), options())).toEqual({ keyId: '1' });
  });

  it('are refused when anything covered was changed', async () => {
    const request = signed();
    expect(await fault({ ...request, method: 'PUT' })).toBe('signature');
    expect(await fault({ ...request, url: request.url.replace('0x01', '0x02') })).toBe('signature');
    expect(await fault({ ...request, url: request.url.replace('x=1', 'x=2') })).toBe('signature');
    expect(await fault({ ...request, url: request.url.replace('peer.', 'other.') })).toBe('signature');
    expect(await fault({ ...request, body: Buffer.from('bodY') })).toBe('digest');
    expect(
      await fault({
        ...request,
        body: Buffer.from('bodY'),
        headers: { ...request.headers, 'content-digest': contentDigest(Buffer.from('bodY')) },
      }),
    ).toBe('signature');
    expect(await fault({ ...request, headers: { ...request.headers, 'content-type': 'text/plain' } })).toBe(
      'signature',
    );
  });

  it('are refused outside the time window, on either side', async () => {
    expect(await fault(signed({}, NOW - 60))).toBe('none');
    expect(await fault(signed({}, NOW - 61))).toBe('created');
    expect(await fault(signed({}, NOW + 61))).toBe('created');
  });

  it('are refused a second time', async () => {
    const request = signed();
    const once = options();
    await verifyRequest(request, once);
    await expect(verifyRequest(request, once)).rejects.toMatchObject({ fault: 'replay' });
  });

  it('have their nonce remembered beyond the window, by a store whose clock is ahead by as much', async () => {
    let until = 0;
    const useNonce: VerifyOptions['useNonce'] = async (_keyId, _nonce, expiresAt) => {
      until = expiresAt;
      return true;
    };
    await verifyRequest(signed({}, NOW + 60), options({ useNonce }));
    expect(until).toBeGreaterThan(NOW + 60 + 60 + 60);
  });

  it('spend no nonce when the signature is wrong', async () => {
    const request = signed();
    const once = options();
    await expect(verifyRequest({ ...request, method: 'PUT' }, once)).rejects.toMatchObject({ fault: 'signature' });
    await expect(verifyRequest(request, once)).resolves.toEqual({ keyId: '1' });
  });

  it('are refused at another hospital, or from an unknown one', async () => {
    expect(await fault(signed(), { recipient: '3' })).toBe('recipient');
    expect(await fault(signed(), { keyOf: async () => undefined })).toBe('key');
  });

  it('are refused when malformed or covering too little', async () => {
    const request = signed();
    const withHeaders = (headers: Record<string, string | string[] | undefined>) =>
      fault({ ...request, headers: { ...request.headers, ...headers } });
    expect(await withHeaders({ signature: undefined })).toBe('missing');
    expect(await withHeaders({ signature: 'emr=:AAAA:' })).toBe('malformed');
    expect(await withHeaders({ 'signature-input': 'emr=(' })).toBe('malformed');
    expect(await withHeaders({ 'signature-input': [String(request.headers['signature-input']), 'x=()'] })).toBe(
      'malformed',
    );
    const narrow = String(request.headers['signature-input']).replace(' "content-digest"', '');
    expect(await withHeaders({ 'signature-input': narrow })).toBe('components');
    const twice = String(request.headers['signature-input']).replace('"@method"', '"@method" "@method"');
    expect(await withHeaders({ 'signature-input': twice })).toBe('components');
  });
});
