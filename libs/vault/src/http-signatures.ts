import { createHash, createPublicKey, type KeyObject, randomBytes, timingSafeEqual, verify } from 'node:crypto';

/**
 * HTTP Message Signatures (RFC 9421) with Ed25519 over Content-Digest (RFC 9530), as one hospital's gateway signs its requests to another's.
 * Pure: keys, clock and the store of used nonces come from the caller.
 */

export interface HttpRequest {
  method: string;
  /** Absolute URL. */
  url: string;
  /** Names in lower case; several values of one field as an array. */
  headers: Record<string, string | string[] | undefined>;
  body: Uint8Array;
}

export interface SignOptions {
  keyId: string;
  /** Ed25519 signature (64 bytes) under the sender's identity key. */
  sign(message: Buffer): Buffer;
  /** The hospital the request is meant for: a request to one hospital is worth nothing at another. */
  recipient: string;
  /** Unix seconds. */
  created?: number;
  nonce?: string;
  /** What the signature is for; `emr-gateway-peer` unless told. */
  tag?: string;
}

export interface VerifyOptions {
  /** This hospital. */
  recipient: string;
  /** Unix seconds. */
  now: number;
  /** How far `created` may lie from `now`, either way, in seconds. */
  window: number;
  /** Ed25519 public key of a hospital that may call, or undefined. */
  keyOf(keyId: string): Promise<KeyObject | undefined>;
  /** Remembers the nonce until `expiresAt` (unix seconds); false when it was used before. Called last, once the signature has proved right. */
  useNonce(keyId: string, nonce: string, expiresAt: number): Promise<boolean>;
  /** As in `SignOptions`. */
  tag?: string;
}

export type SignatureFault =
  | 'missing'
  | 'malformed'
  | 'components'
  | 'recipient'
  | 'created'
  | 'digest'
  | 'key'
  | 'signature'
  | 'replay';

/** The request isn't proven to come, now and once, from the hospital it names. */
export class SignatureRejected extends Error {
  constructor(readonly fault: SignatureFault) {
    super(`The request's signature was rejected: ${fault}.`);
    this.name = 'SignatureRejected';
  }
}

const LABEL = 'emr';
const TAG = 'emr-gateway-peer';
export const RECIPIENT_HEADER = 'emr-recipient';
const COMPONENTS = ['@method', '@authority', '@path', '@query', 'content-digest', 'content-type', RECIPIENT_HEADER];

/** What a request has to be signed over, as `Accept-Signature` says it (RFC 9421, section 5.1). */
export const ACCEPT_SIGNATURE = `${LABEL}=(${COMPONENTS.map((name) => `"${name}"`).join(' ')});created;nonce;keyid;alg="ed25519";tag="${TAG}"`;

/** RFC 9530 `Content-Digest` with sha-256. */
export function contentDigest(body: Uint8Array): string {
  return `sha-256=:${createHash('sha256').update(body).digest('base64')}:`;
}

/** The headers to add to `request`: content-digest, emr-recipient, signature-input, signature. A content-type must be there already. */
export function signRequest(request: HttpRequest, options: SignOptions): Record<string, string> {
  const added: Record<string, string> = {
    'content-digest': contentDigest(request.body),
    [RECIPIENT_HEADER]: options.recipient,
  };
  const created = options.created ?? Math.floor(Date.now() / 1000);
  const nonce = options.nonce ?? randomBytes(18).toString('base64url');
  const parameters =
    `(${COMPONENTS.map((name) => `"${name}"`).join(' ')});created=${created};nonce="${nonce}"` +
    `;keyid="${options.keyId}";alg="ed25519";tag="${options.tag ?? TAG}"`;
  const base = signatureBase({ ...request, headers: { ...request.headers, ...added } }, COMPONENTS, parameters);
  added['signature-input'] = `${LABEL}=${parameters}`;
  added.signature = `${LABEL}=:${options.sign(Buffer.from(base)).toString('base64')}:`;
  return added;
}

/** Who sent the request, body and all. @throws SignatureRejected */
export async function verifyRequest(request: HttpRequest, options: VerifyOptions): Promise<{ keyId: string }> {
  const verified = await verifyHead(request, options);
  verifyBody(request.headers, request.body);
  return verified;
}

/** Whether the body is the one the sender signed for. To be asked once `verifyHead` has proved the headers. @throws SignatureRejected */
export function verifyBody(headers: HttpRequest['headers'], body: Uint8Array): void {
  if (!same(single(headers['content-digest']) ?? '', contentDigest(body))) throw new SignatureRejected('digest');
}

/** Who sent a request whose body has not been read yet: nobody unknown gets to send one. @throws SignatureRejected */
export async function verifyHead(
  request: Omit<HttpRequest, 'body'>,
  options: VerifyOptions,
): Promise<{ keyId: string }> {
  const input = single(request.headers['signature-input']);
  const signature = single(request.headers.signature);
  if (input === undefined || signature === undefined) throw new SignatureRejected('missing');
  const { components, parameters, values } = parseSignatureInput(input, LABEL);
  const octets = parseSignature(signature, LABEL);
  if (COMPONENTS.some((name) => !components.includes(name))) throw new SignatureRejected('components');
  const { created, nonce, keyid, alg, tag } = values;
  if (typeof created !== 'number' || typeof nonce !== 'string' || typeof keyid !== 'string') {
    throw new SignatureRejected('malformed');
  }
  if (alg !== 'ed25519' || tag !== (options.tag ?? TAG) || nonce.length < 16 || nonce.length > 128) {
    throw new SignatureRejected('malformed');
  }
  if (single(request.headers[RECIPIENT_HEADER]) !== options.recipient) throw new SignatureRejected('recipient');
  if (Math.abs(options.now - created) > options.window) throw new SignatureRejected('created');
  const key = await options.keyOf(keyid);
  if (!key) throw new SignatureRejected('key');
  const base = signatureBase(request, components, parameters);
  if (!verify(null, Buffer.from(base), key, octets)) throw new SignatureRejected('signature');
  // Twice the window: the clock that forgets nonces is the store's, and may be ahead of the one that judges `created`.
  if (!(await options.useNonce(keyid, nonce, created + 2 * options.window + 1))) throw new SignatureRejected('replay');
  return { keyId: keyid };
}

/**
 * The signature base of RFC 9421, section 2.5, for the derived components of section 2.2 used here and for plain fields.
 * @param parameters the inner list with its parameters, exactly as in Signature-Input
 * @throws SignatureRejected 'components' when one is named twice, unknown or absent from the request
 */
export function signatureBase(request: Omit<HttpRequest, 'body'>, components: string[], parameters: string): string {
  if (new Set(components).size !== components.length) throw new SignatureRejected('components');
  const lines = components.map((name) => `"${name}": ${componentValue(request, name)}`);
  return [...lines, `"@signature-params": ${parameters}`].join('\n');
}

function componentValue(request: Omit<HttpRequest, 'body'>, name: string): string {
  const url = new URL(request.url);
  switch (name) {
    case '@method':
      return request.method;
    case '@target-uri':
      return request.url;
    case '@authority':
      return url.host; // lower case, default port left out: as section 2.2.3 wants it
    case '@path':
      return url.pathname;
    case '@query':
      return url.search === '' ? '?' : url.search;
  }
  const value = name.startsWith('@') ? undefined : request.headers[name];
  if (value === undefined) throw new SignatureRejected('components');
  return (Array.isArray(value) ? value : [value]).map((item) => item.trim()).join(', ');
}

const MEMBER = /^([a-z*][a-z0-9_.*-]*)=/;
const INNER_LIST =
  /^\(((?:"[\x20\x21\x23-\x5b\x5d-\x7e]+"(?: (?="))?)*)\)((?:;[a-z]+=(?:"[\x20\x21\x23-\x5b\x5d-\x7e]*"|-?\d{1,15}))*)$/;
const PARAMETER = /;([a-z]+)=(?:"([^"]*)"|(-?\d{1,15}))/g;

/**
 * Parses a Signature-Input field with exactly one member, called `label`. Component parameters (`;req`, `;sf`) and escapes in strings are not
 * among what peers send, and refused.
 */
export function parseSignatureInput(
  field: string,
  label: string,
): { components: string[]; parameters: string; values: Record<string, string | number> } {
  const parameters = member(field, label);
  const list = INNER_LIST.exec(parameters);
  if (!list) throw new SignatureRejected('malformed');
  const components = list[1] === '' ? [] : list[1]!.slice(1, -1).split('" "');
  const values: Record<string, string | number> = Object.create(null);
  for (const [, name, text, number] of list[2]!.matchAll(PARAMETER)) {
    if (name! in values) throw new SignatureRejected('malformed');
    values[name!] = text ?? Number(number);
  }
  return { components, parameters, values };
}

/** Parses a Signature field with exactly one member, called `label`: 64 octets. */
export function parseSignature(field: string, label: string): Buffer {
  const value = /^:([A-Za-z0-9+/]{86}==):$/.exec(member(field, label));
  if (!value) throw new SignatureRejected('malformed');
  return Buffer.from(value[1]!, 'base64');
}

function member(field: string, label: string): string {
  const start = MEMBER.exec(field);
  if (start?.[1] !== label) throw new SignatureRejected('malformed');
  return field.slice(start[0].length);
}

function single(value: string | string[] | undefined): string | undefined {
  if (Array.isArray(value)) {
    if (value.length > 1) throw new SignatureRejected('malformed');
    return value[0];
  }
  return value;
}

function same(a: string, b: string): boolean {
  const left = Buffer.from(a);
  const right = Buffer.from(b);
  return left.length === right.length && timingSafeEqual(left, right);
}

/** An Ed25519 public key from its 32 raw bytes, as the registry holds it. */
export function ed25519PublicKey(raw: Buffer): KeyObject {
  if (raw.length !== 32) throw new RangeError('an Ed25519 public key has 32 bytes');
  return createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x: raw.toString('base64url') }, format: 'jwk' });
}
