import { createHash } from 'node:crypto';
import { Inject, Injectable, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { type FastifyInstance, type FastifyReply, type FastifyRequest, fastify } from 'fastify';
import { fromHex } from '../../../../libs/platform/src/bytes.js';
import { ProblemError, problemDocument } from '../../../../libs/platform/src/errors.js';
import type { Logger } from '../../../../libs/platform/src/logger.js';
import { toProblem } from '../../../../libs/platform/src/problem.filter.js';
import { requestContext, requestIdOf, traceparentOf } from '../../../../libs/platform/src/request-context.js';
import {
  ACCEPT_SIGNATURE,
  ed25519PublicKey,
  SignatureRejected,
  verifyBody,
  verifyHead,
} from '../../../../libs/vault/src/http-signatures.js';
import { LOGGER } from '../core.tokens.js';
import { answerBrokenRequest } from '../http/edge.js';
import { PeeringStore } from './peering.store.js';
import { PeersService } from './peers.service.js';

export interface PeerListenerOptions {
  hospital: number;
  host: string;
  port: number;
  /** Longest body: a package with the largest content a hospital takes. */
  bodyLimit: number;
  /** Seconds a signature's time may differ from ours. */
  window: number;
}
export const PEER_LISTENER_OPTIONS = Symbol('peer listener options');

/** A request whose sender is proven. */
export interface PeerCall {
  /** The calling hospital. */
  from: number;
  params: Record<string, string>;
  contentType: string;
  body: Buffer;
}
export interface PeerReply {
  status: number;
  body: Buffer | object;
  contentType?: string;
}
export type PeerHandler = (call: PeerCall) => Promise<PeerReply>;

const CLEANUP_MS = 60_000;
const HEADERS_TIMEOUT_MS = 10_000;

/**
 * The listener for other hospitals' gateways, apart from the public one. Each request proves its hospital by an HTTP message signature under
 * the identity key in the registry, before its body is read; a user's token is worth nothing here and refused.
 * Features register their routes while modules are initialised.
 */
@Injectable()
export class PeerListener implements OnApplicationBootstrap, OnModuleDestroy {
  readonly #server: FastifyInstance;
  #cleanup?: NodeJS.Timeout;

  constructor(
    @Inject(PEER_LISTENER_OPTIONS) private readonly options: PeerListenerOptions,
    private readonly peers: PeersService,
    private readonly store: PeeringStore,
    @Inject(LOGGER) private readonly logger: Logger,
  ) {
    this.#server = fastify({
      bodyLimit: options.bodyLimit,
      forceCloseConnections: true,
      requestTimeout: 60_000,
      // Nobody has proved anything before the headers are in.
      http: { headersTimeout: HEADERS_TIMEOUT_MS },
      routerOptions: { maxParamLength: 128 },
      // Fastify's own answers would quote the URL.
      frameworkErrors: (error, _request, reply) => void this.#answer(reply, toProblem(error)),
      clientErrorHandler: answerBrokenRequest,
    });
    this.#server.removeAllContentTypeParsers();
    this.#server.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body));
    this.#server.decorateRequest('peer', 0);
    this.#server.addHook('onRequest', (request, _reply, done) => {
      const traceparent = traceparentOf(request.headers.traceparent);
      const requestId = requestIdOf(request.headers['x-request-id']);
      requestContext.run({ requestId, ...(traceparent ? { traceparent } : {}) }, done);
    });
    this.#server.addHook('onRequest', async (request) => {
      request.peer = await this.#authenticate(request);
    });
    this.#server.addHook('preHandler', async (request) => {
      refuseUnless(() => verifyBody(request.headers, bodyOf(request)));
    });
    this.#server.setNotFoundHandler(() => {
      throw new ProblemError('NOT_FOUND');
    });
    this.#server.setErrorHandler((error, _request, reply) => {
      const problem = toProblem(error);
      if (problem.status >= 500) this.logger.error({ err: error }, 'a request of another hospital failed');
      return this.#answer(reply, problem);
    });
  }

  /** To be called before the application has started. `path` as Fastify writes it: `/peer/v1/transfers/:id`. */
  route(method: 'GET' | 'POST', path: string, handler: PeerHandler): void {
    this.#server.route({
      method,
      url: path,
      handler: async (request, reply) => {
        const answer = await handler({
          from: request.peer,
          params: request.params as Record<string, string>,
          contentType: request.headers['content-type'] ?? '',
          body: bodyOf(request),
        });
        const json = !Buffer.isBuffer(answer.body);
        return reply
          .code(answer.status)
          .header('cache-control', 'no-store')
          .type(answer.contentType ?? (json ? 'application/json' : 'application/octet-stream'))
          .send(json ? JSON.stringify(answer.body) : answer.body);
      },
    });
  }

  async onApplicationBootstrap(): Promise<void> {
    await this.#server.listen({ host: this.options.host, port: this.options.port });
    this.#cleanup = setInterval(() => {
      this.store.forgetExpired().catch((error) => this.logger.warn({ err: error }, 'used nonces could not be tidied'));
    }, CLEANUP_MS).unref();
  }

  async onModuleDestroy(): Promise<void> {
    clearInterval(this.#cleanup);
    await this.#server.close();
  }

  /** Port it listens on, for tests that asked for port 0. */
  get port(): number {
    const address = this.#server.server.address();
    return typeof address === 'object' && address ? address.port : this.options.port;
  }

  #answer(reply: FastifyReply, problem: ProblemError): FastifyReply {
    // Whoever isn't known gets no chance to send what was not read.
    if (problem.status === 401) void reply.header('connection', 'close');
    return reply
      .code(problem.status)
      .headers({ ...problem.headers, 'cache-control': 'no-store' })
      .type('application/problem+json')
      .send(JSON.stringify(problemDocument(problem, requestContext.getStore()?.requestId ?? '')));
  }

  async #authenticate(request: FastifyRequest): Promise<number> {
    if (request.headers.authorization !== undefined) throw unauthenticated('User tokens are not taken here.');
    const url = urlOf(request);
    try {
      const { keyId } = await verifyHead(
        { method: request.method, url, headers: request.headers },
        {
          recipient: String(this.options.hospital),
          now: Math.floor(Date.now() / 1000),
          window: this.options.window,
          keyOf: async (id) => {
            // This hospital's own signature would come back from where it was sent.
            if (!/^[1-9]\d{0,9}$/.test(id) || Number(id) === this.options.hospital) return undefined;
            const hospital = await this.peers.registered(Number(id));
            return hospital && ed25519PublicKey(hospital.identityKey);
          },
          useNonce: (id, nonce, expiresAt) =>
            this.store.useNonce(createHash('sha256').update(`peer\0${id}\0${nonce}`).digest(), expiresAt),
        },
      );
      return Number(keyId);
    } catch (error) {
      if (error instanceof SignatureRejected) throw unauthenticated(error.message);
      throw error;
    }
  }
}

declare module 'fastify' {
  interface FastifyRequest {
    /** Number of the hospital that signed the request; on the peer listener only. */
    peer: number;
  }
}

/** The URL that was signed. What isn't in the form that signing gives it could be routed otherwise than it was signed: refused. */
function urlOf(request: FastifyRequest): string {
  const text = `http://${request.headers.host ?? ''}${request.raw.url ?? ''}`;
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url || url.pathname + url.search !== request.raw.url) throw new ProblemError('MALFORMED_REQUEST');
  return text;
}

/** The 32-byte id in a call's path. @throws ProblemError NOT_FOUND for anything else */
export function idOf({ id }: PeerCall['params']): Buffer {
  try {
    return fromHex(id ?? '', 32);
  } catch {
    throw new ProblemError('NOT_FOUND');
  }
}

function bodyOf(request: FastifyRequest): Buffer {
  return Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0);
}

function refuseUnless(check: () => void): void {
  try {
    check();
  } catch (error) {
    throw error instanceof SignatureRejected ? unauthenticated(error.message) : error;
  }
}

function unauthenticated(detail: string): ProblemError {
  return new ProblemError('UNAUTHENTICATED', {
    detail,
    headers: { 'Accept-Signature': ACCEPT_SIGNATURE },
  });
}
