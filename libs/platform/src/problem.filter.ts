import { type ArgumentsHost, Catch, type ExceptionFilter, HttpException } from '@nestjs/common';
import { type ErrorCode, ProblemError, type ProblemOptions, problemDocument } from './errors.js';
import type { Logger } from './logger.js';

/** The part of Fastify's reply the filter needs. */
interface Reply {
  sent: boolean;
  raw: { headersSent: boolean; destroy(): unknown };
  code(status: number): Reply;
  header(name: string, value: string): Reply;
  removeHeader(name: string): Reply;
  type(mediaType: string): Reply;
  send(payload: string): unknown;
}

/**
 * Codes of Postgres that mean "not now": connection lost or refused, server starting or stopping, too many clients, a lock not
 * had in time, a statement that took too long, a transaction ended because its process had stalled.
 */
const databaseCodes = /^(08...|57014|57P0[0-9]|53...|25006|25P03|55P03)$/;
const socketCodes = new Set(['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'ENOTFOUND', 'ENOENT', 'EAI_AGAIN']);

const fastifyCodes: Record<string, ErrorCode> = {
  FST_ERR_CTP_BODY_TOO_LARGE: 'PAYLOAD_TOO_LARGE',
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'UNSUPPORTED_MEDIA_TYPE',
  FST_ERR_BAD_URL: 'MALFORMED_REQUEST',
  FST_ERR_MAX_PARAM_LENGTH: 'URI_TOO_LONG',
};
const statusCodes: Record<number, ErrorCode> = {
  400: 'MALFORMED_REQUEST',
  401: 'UNAUTHENTICATED',
  403: 'FORBIDDEN',
  404: 'NOT_FOUND',
  405: 'METHOD_NOT_ALLOWED',
  406: 'NOT_ACCEPTABLE',
  408: 'REQUEST_TIMEOUT',
  413: 'PAYLOAD_TOO_LARGE',
  414: 'URI_TOO_LONG',
  415: 'UNSUPPORTED_MEDIA_TYPE',
  429: 'TOO_MANY_REQUESTS',
  503: 'SHUTTING_DOWN',
};

/** The catalogue's word for anything thrown. What nobody foresaw is INTERNAL, and nothing of it is shown. */
export function toProblem(thrown: unknown): ProblemError {
  if (thrown instanceof ProblemError) return thrown;
  // Nest wraps Fastify's own errors; the cause says more than the status.
  const error = thrown instanceof HttpException && thrown.cause instanceof Error ? thrown.cause : thrown;
  const { code, statusCode, name } = (typeof error === 'object' && error !== null ? error : {}) as {
    code?: unknown;
    statusCode?: unknown;
    name?: string;
  };
  const options: ProblemOptions = { cause: thrown };
  if (typeof code === 'string' && fastifyCodes[code]) return new ProblemError(fastifyCodes[code], options);
  const status = thrown instanceof HttpException ? thrown.getStatus() : statusCode;
  if (typeof status === 'number' && statusCodes[status]) return new ProblemError(statusCodes[status], options);
  if (typeof status === 'number' && status >= 400 && status < 500)
    return new ProblemError('MALFORMED_REQUEST', options);
  // Before the database: what brought it about is a socket's error too.
  if (name === 'RpcError' && (error as { retryable?: unknown }).retryable === true) {
    return new ProblemError('CHAIN_UNAVAILABLE', options);
  }
  if (isDatabaseUnavailable(error)) return new ProblemError('DATABASE_UNAVAILABLE', options);
  return new ProblemError('INTERNAL', options);
}

/**
 * Whether Postgres could not be asked at all, as against having refused the question. A bare error of a socket is the driver's:
 * whoever else opens one wraps it (RpcError, PEER_UNAVAILABLE), and its stack, which begins in the event loop, doesn't tell.
 */
export function isDatabaseUnavailable(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const { code, syscall } = error as { code?: unknown; syscall?: unknown };
  const ofSocket = typeof syscall === 'string' && /^(connect|read|write|getaddrinfo)$/.test(syscall);
  const fromDriver = ofSocket || error.name === 'QueryFailedError';
  if (typeof code === 'string' && (databaseCodes.test(code) || (socketCodes.has(code) && fromDriver))) return true;
  // TypeORM's words for a connection that broke between two statements of a transaction.
  if (/^QueryRunner(Provider)?AlreadyReleasedError$/.test(error.name)) return true;
  if (error instanceof AggregateError) return error.errors.some(isDatabaseUnavailable);
  return (
    /Connection terminated|timeout exceeded when trying to connect|Cannot use a pool after|not queryable|Client was closed/.test(
      error.message,
    ) ||
    (error.cause !== undefined && isDatabaseUnavailable(error.cause))
  );
}

/** The only filter: everything thrown becomes one problem document (RFC 9457). */
@Catch()
export class ProblemFilter implements ExceptionFilter {
  constructor(private readonly logger: Logger) {}

  catch(thrown: unknown, host: ArgumentsHost): void {
    const http = host.switchToHttp();
    const request = http.getRequest<{ id?: string }>();
    const reply = http.getResponse<Reply>();
    const problem = toProblem(thrown);
    // A full queue is told by its metric: at thousands a second lines would be a load of their own.
    if (problem.status >= 500 && problem.code !== 'QUEUE_FULL') {
      const level = problem.code === 'INTERNAL' ? 'error' : 'warn';
      this.logger[level]({ err: problem.options.cause ?? problem, code: problem.code }, 'request failed');
    }
    if (reply.sent || reply.raw.headersSent) {
      // An answer has begun: the only honest end is a broken connection.
      reply.raw.destroy();
      return;
    }
    reply
      .removeHeader('content-length')
      .removeHeader('etag')
      .removeHeader('location')
      .removeHeader('content-disposition');
    for (const [name, value] of Object.entries(problem.headers)) reply.header(name, value);
    reply
      .code(problem.status)
      .type('application/problem+json')
      .send(JSON.stringify(problemDocument(problem, String(request.id ?? ''))));
  }
}
