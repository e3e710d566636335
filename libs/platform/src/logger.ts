import type { LoggerService } from '@nestjs/common';
import { type Logger, pino } from 'pino';
import { requestContext } from './request-context.js';

export type { Logger } from 'pino';

/** What never reaches a log line, wherever in the first two levels of an object it stands. */
const secretNames = [
  'authorization',
  'cookie',
  'password',
  'passphrase',
  'token',
  'accessToken',
  'clientAssertion',
  'privateKey',
  'key',
  'secret',
  'body',
  'query',
  'url',
];

/**
 * JSON lines on stdout. No bodies, no query strings, no credentials; errors show type, message, code, stack and causes, never their parameters.
 * @param destination where lines go instead of stdout, for tests
 */
export function createLogger(name: string, level: string, destination?: { write(line: string): void }): Logger {
  const options = {
    name,
    level,
    base: { name },
    redact: { paths: secretNames.flatMap((secret) => [secret, `*.${secret}`, `*.*.${secret}`]), censor: '[redacted]' },
    serializers: { err: describeError },
    mixin: () => {
      const context = requestContext.getStore();
      return context ? { requestId: context.requestId } : {};
    },
  };
  return destination ? pino(options, destination) : pino(options);
}

/** An error without what drivers hang on it: Postgres' `detail` and `parameters` may hold a row's values. */
export function describeError(error: unknown, depth = 0): unknown {
  if (!(error instanceof Error)) return { type: typeof error };
  const { code } = error as { code?: unknown };
  return {
    type: error.name,
    message: error.message,
    ...(typeof code === 'string' || typeof code === 'number' ? { code } : {}),
    stack: error.stack,
    ...(error.cause !== undefined && depth < 4 ? { cause: describeError(error.cause, depth + 1) } : {}),
  };
}

/** Nest's own lines through the same logger. */
export function nestLogger(logger: Logger): LoggerService {
  const line =
    (level: 'info' | 'error' | 'warn' | 'debug' | 'trace' | 'fatal') =>
    (message: unknown, ...rest: unknown[]) => {
      const context = typeof rest.at(-1) === 'string' ? rest.at(-1) : undefined;
      if (message instanceof Error) logger[level]({ context, err: message }, message.message);
      else logger[level]({ context }, String(message));
    };
  return {
    log: line('debug'),
    error: line('error'),
    warn: line('warn'),
    debug: line('debug'),
    verbose: line('trace'),
    fatal: line('fatal'),
  };
}
