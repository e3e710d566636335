import { Inject, Injectable } from '@nestjs/common';
import { ProblemError } from '../../../../libs/platform/src/errors.js';
import { outgoingContextHeaders } from '../../../../libs/platform/src/request-context.js';
import { signRequest } from '../../../../libs/vault/src/http-signatures.js';
import { Vault } from '../../../../libs/vault/src/vault.js';
import { GATEWAY_ENV, type GatewayEnv } from '../gateway.env.js';
import { PeersService } from './peers.service.js';

export interface PeerRequest {
  method: 'GET' | 'POST';
  /** Below the peer's URL, beginning with a slash; ids only. */
  path: string;
  body?: Buffer;
  contentType?: string;
  /** From first byte out to last byte in. */
  timeoutMs?: number;
  /** Longest answer that is read. */
  maxBytes?: number;
}

export interface PeerAnswer {
  /** 2xx, or one of 403, 404, 409, 410, 413: answers that the caller of a peer can use. */
  status: number;
  contentType: string;
  body: Buffer;
}

const DEFAULT_TIMEOUT_MS = 10_000;
const DEFAULT_MAX_BYTES = 64 * 1024;
const USEFUL_REFUSALS: ReadonlySet<number> = new Set([403, 404, 409, 410, 413]);

/** Requests to other hospitals' gateways, signed with this hospital's identity key (RFC 9421). */
@Injectable()
export class PeerClient {
  constructor(
    private readonly peers: PeersService,
    private readonly vault: Vault,
    @Inject(GATEWAY_ENV) private readonly env: Pick<GatewayEnv, 'HOSPITAL_ID'>,
  ) {}

  /** @throws ProblemError PEER_UNAVAILABLE (502) or PEER_TIMEOUT (504), both retryable */
  async request(hospital: number, request: PeerRequest): Promise<PeerAnswer> {
    const { url: base } = await this.peers.reachable(hospital);
    const url = `${base.replace(/\/$/, '')}${request.path}`;
    const body = request.body ?? Buffer.alloc(0);
    const headers = {
      'content-type': request.contentType ?? 'application/json',
      ...outgoingContextHeaders(),
    };
    const signed = signRequest(
      { method: request.method, url, headers, body },
      {
        keyId: String(this.env.HOSPITAL_ID),
        recipient: String(hospital),
        sign: (message) => this.vault.sign(message),
      },
    );
    const signal = AbortSignal.timeout(request.timeoutMs ?? DEFAULT_TIMEOUT_MS);
    try {
      const response = await fetch(url, {
        method: request.method,
        headers: { ...headers, ...signed },
        ...(request.method === 'POST' ? { body: new Uint8Array(body) } : {}),
        redirect: 'error', // a redirect would be followed with a signature made for another place
        signal,
      });
      const answer = {
        status: response.status,
        contentType: response.headers.get('content-type') ?? '',
        body: await readLimited(response, request.maxBytes ?? DEFAULT_MAX_BYTES),
      };
      if (response.ok || USEFUL_REFUSALS.has(response.status)) return answer;
      throw new ProblemError('PEER_UNAVAILABLE', { detail: `The other hospital answered ${response.status}.` });
    } catch (error) {
      if (error instanceof ProblemError) throw error;
      throw new ProblemError(signal.aborted ? 'PEER_TIMEOUT' : 'PEER_UNAVAILABLE', { cause: error });
    }
  }
}

async function readLimited(response: Response, maxBytes: number): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const part of response.body ?? []) {
    length += part.byteLength;
    if (length > maxBytes) {
      throw new ProblemError('PEER_UNAVAILABLE', {
        detail: 'The other hospital answered with more than was asked for.',
      });
    }
    parts.push(part);
  }
  return Buffer.concat(parts);
}
