import type { Socket } from 'node:net';
import {
  type FastifyError,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  type FastifyServerOptions,
  LogController,
} from 'fastify';
import { type ErrorCode, ProblemError, problemDocument } from '../../../../libs/platform/src/errors.js';
import type { Logger } from '../../../../libs/platform/src/logger.js';
import { toProblem } from '../../../../libs/platform/src/problem.filter.js';
import { requestContext, requestIdOf, traceparentOf } from '../../../../libs/platform/src/request-context.js';
import { accepts, takes } from './negotiation.js';
import { RateLimiter } from './rate-limiter.js';
import { RouteTable } from './route-table.js';
import { securityHeaders } from './security-headers.js';

declare module 'fastify' {
  interface FastifyRequest {
    /** Shutting down waits for its answer. */
    isUnderWay: boolean;
  }
}

const BODY_LIMIT = 100_000;
/** Failed authentications an address may cause in a minute before it is told to wait. */
const FAILURES_PER_MINUTE = 300;

/**
 * Server options under which nothing is answered by anything but a problem document.
 * @param trustedProxies addresses or networks whose X-Forwarded-For says who the client is; nobody else's does
 */
export function serverOptions(logger: Logger, trustedProxies?: string[]): FastifyServerOptions {
  return {
    ...(trustedProxies ? { trustProxy: trustedProxies } : {}),
    loggerInstance: logger,
    // One line per answer is written by the edge; Fastify's own would show URLs.
    logController: new LogController({ disableRequestLogging: true }),
    // The request's id comes from its context; a logger made for each request would redact its own name first, at a tenth of all garbage.
    childLoggerFactory: (parent) => parent,
    bodyLimit: BODY_LIMIT,
    requestIdHeader: false,
    genReqId: (request) => requestIdOf(request.headers['x-request-id']),
    routerOptions: { maxParamLength: 256 },
    // An open event stream would hold close() for ever.
    forceCloseConnections: true,
    return503OnClosing: false,
    requestTimeout: 60_000,
    frameworkErrors: (error: FastifyError, request: FastifyRequest, reply: FastifyReply) => {
      const problem = toProblem(error);
      void reply
        .code(problem.status)
        .headers({ 'x-request-id': request.id, 'cache-control': 'no-store' })
        .type('application/problem+json')
        .send(JSON.stringify(problemDocument(problem, request.id)));
    },
    clientErrorHandler: answerBrokenRequest,
  };
}

/** What isn't HTTP never becomes a request: answered on the socket. */
export function answerBrokenRequest(error: Error & { code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) return void socket.destroy(error);
  const code: ErrorCode =
    error.code === 'HPE_HEADER_OVERFLOW'
      ? 'HEADERS_TOO_LARGE'
      : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? 'REQUEST_TIMEOUT'
        : 'MALFORMED_REQUEST';
  const problem = new ProblemError(code);
  const id = requestIdOf(undefined);
  const body = JSON.stringify(problemDocument(problem, id));
  socket.end(
    `HTTP/1.1 ${problem.status} ${code}\r\nContent-Type: application/problem+json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n` +
      `X-Request-Id: ${id}\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n${body}`,
  );
}

export interface Edge {
  /** Every route, as the router has it. */
  readonly routes: readonly { method: string; url: string }[];
  /** New requests get 503; resolves when those under way are answered, event streams apart, or after `patienceMs`. */
  drain(patienceMs: number): Promise<void>;
}

export interface EdgeSettings {
  logger: Logger;
  ratePerMinute: number;
  /** Bytes of raw content a body may have. */
  contentLimit: number;
  /** Sets `request.caller`, or throws ProblemError. Not called on public routes. */
  authenticate(request: FastifyRequest): Promise<void>;
  /** Whether the request's token was found good before. */
  isKnown?(request: FastifyRequest): boolean;
  observe?(route: string, method: string, status: number, seconds: number): void;
}

/**
 * Everything that happens to a request before its body is read, in this order: id and context, shutdown, path and method, Accept,
 * authentication and role, rate, body type. To be installed before the routes.
 */
export function installEdge(instance: FastifyInstance, settings: EdgeSettings): Edge {
  const routes = new RouteTable(instance, settings.contentLimit);
  const perClient = new RateLimiter(settings.ratePerMinute);
  const failures = new RateLimiter(FAILURES_PER_MINUTE);
  // A count, not a set of them: each time a set is rehashed its old table, dead but tenured, keeps all of its requests and the next table.
  let underWay = 0;
  let stopping = false;

  instance.decorateRequest('isUnderWay', false);
  const sameEachTime = { ...securityHeaders(), 'cache-control': 'no-store' };
  instance.addHook('onRequest', (request, reply, done) => {
    reply.headers(sameEachTime).header('x-request-id', request.id);
    const traceparent = traceparentOf(request.headers.traceparent);
    requestContext.run({ requestId: request.id, ...(traceparent ? { traceparent } : {}) }, done);
  });

  instance.addHook('onRequest', (request, _reply, done) => {
    if (stopping) return done(new ProblemError('SHUTTING_DOWN', { headers: { connection: 'close' } }));
    const [path = ''] = request.url.split('?');
    if (/%00/.test(request.url))
      return done(new ProblemError('MALFORMED_REQUEST', { detail: 'The URL contains the character U+0000.' }));
    if (request.is404) {
      const methods = routes.methodsOf(path);
      if (methods.length === 0) return done(new ProblemError('NOT_FOUND'));
      return done(new ProblemError('METHOD_NOT_ALLOWED', { headers: { allow: methods.join(', ') } }));
    }
    if (!accepts(request.headers.accept, request.routeOptions.config.produces ?? [])) {
      return done(new ProblemError('NOT_ACCEPTABLE'));
    }
    done();
  });

  instance.addHook('onRequest', async (request) => {
    const { roles } = request.routeOptions.config;
    if (roles !== 'public') {
      // Many people may share an address; one of them who guesses must not lock out the others.
      const wait = settings.isKnown?.(request) ? undefined : failures.exhausted(request.ip);
      if (wait !== undefined) throw new ProblemError('TOO_MANY_REQUESTS', { retryAfter: wait });
      try {
        await settings.authenticate(request);
      } catch (error) {
        if (error instanceof ProblemError && error.code === 'UNAUTHENTICATED') failures.take(request.ip);
        throw error;
      }
    }
    // Before the role check: a client that is told 403 a thousand times a second is still a flood.
    const wait = perClient.take(request.caller ? request.caller.principal.toString('latin1') : request.ip);
    if (wait !== undefined) throw new ProblemError('TOO_MANY_REQUESTS', { retryAfter: wait });
    if (Array.isArray(roles) && !request.caller?.roles.some((role) => roles.includes(role))) {
      throw new ProblemError('FORBIDDEN');
    }
  });

  instance.addHook('onRequest', (request, reply, done) => {
    const { headers, method } = request;
    const hasBody = headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
    if (!hasBody || method === 'GET' || method === 'HEAD') return done();
    const encoding = headers['content-encoding'];
    if ((encoding && encoding !== 'identity') || !takes(headers['content-type'], request.routeOptions.config.rawBody)) {
      // The body stays unread, so the connection can't be used again.
      void reply.header('connection', 'close');
      return done(new ProblemError('UNSUPPORTED_MEDIA_TYPE'));
    }
    done();
  });

  // Behind the refusals above; event streams end when the server closes.
  instance.addHook('onRequest', (request, _reply, done) => {
    if (!request.routeOptions.config.produces?.includes('text/event-stream')) {
      request.isUnderWay = true;
      underWay += 1;
    }
    done();
  });
  const isOver = (request: FastifyRequest) => {
    if (request.isUnderWay) underWay -= 1;
    request.isUnderWay = false;
  };
  instance.addHook('onRequestAbort', (request, done) => {
    isOver(request);
    done();
  });

  instance.addHook('onResponse', (request, reply, done) => {
    isOver(request);
    const seconds = reply.elapsedTime / 1000;
    const route = request.routeOptions.url ?? 'unmatched';
    settings.observe?.(route, request.method, reply.statusCode, seconds);
    settings.logger.info(
      {
        requestId: request.id,
        method: request.method,
        route,
        status: reply.statusCode,
        ms: Math.round(reply.elapsedTime * 10) / 10,
      },
      'answered',
    );
    done();
  });

  return {
    routes: routes.all,
    async drain(patienceMs) {
      stopping = true;
      const deadline = Date.now() + patienceMs;
      while (underWay > 0 && Date.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 20));
    },
  };
}
