import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import { ProblemError } from '../../../../libs/platform/src/errors.js';

/** What RFC 7240 preferences of this request the API honours. */
export interface Preferences {
  /** Seconds to wait for the end of the operation, 0 to 30. */
  waitSeconds: number;
  /** Answer with the resource itself where the route has one. */
  representation: boolean;
}

const LONGEST_WAIT_SECONDS = 30;

/** Unknown or ill-formed preferences are ignored, as RFC 7240 asks; the first of a repeated one counts. */
export function parsePrefer(header: string | string[] | undefined): Preferences {
  const preferences: Preferences = { waitSeconds: 0, representation: false };
  const seen = new Set<string>();
  for (const part of String(header ?? '').split(',')) {
    const [name = '', value = ''] = (part.split(';')[0] ?? '').split('=').map((text) => text.trim().toLowerCase());
    if (seen.has(name)) continue;
    seen.add(name);
    const token = value.replace(/^"(.*)"$/, '$1');
    if (name === 'wait' && /^\d{1,9}$/.test(token)) {
      preferences.waitSeconds = Math.min(Number(token), LONGEST_WAIT_SECONDS);
    } else if (name === 'return') {
      preferences.representation = token === 'representation';
    }
  }
  return preferences;
}

/** 1 to 128 visible ASCII characters. @throws ProblemError IDEMPOTENCY_KEY_MISSING */
export function parseIdempotencyKey(header: string | string[] | undefined): string {
  if (typeof header !== 'string' || !/^[\x21-\x7e]{1,128}$/.test(header)) {
    throw new ProblemError('IDEMPOTENCY_KEY_MISSING', {
      errors: [{ pointer: 'header/idempotency-key', message: '1 to 128 visible ASCII characters are needed' }],
    });
  }
  return header;
}

/** The record version of a strong ETag, `"v3"` → 3. @throws ProblemError PRECONDITION_REQUIRED when absent, PRECONDITION_FAILED when it can't match */
export function parseIfMatch(header: string | string[] | undefined): number {
  if (header === undefined || header === '') throw new ProblemError('PRECONDITION_REQUIRED');
  const version = typeof header === 'string' ? /^"v([1-9]\d{0,8})"$/.exec(header.trim())?.[1] : undefined;
  if (version === undefined) throw new ProblemError('PRECONDITION_FAILED');
  return Number(version);
}

/** Strong ETag of a record version. */
export function versionTag(version: number): string {
  return `"v${version}"`;
}

function headerOf(name: string) {
  return (context: ExecutionContext) => context.switchToHttp().getRequest<FastifyRequest>().headers[name];
}

/** `@IdempotencyKey() key: string`: the checked header; the route fails without it. Documented by `@Route({ act })`. */
export const IdempotencyKey = createParamDecorator((_: unknown, context: ExecutionContext) =>
  parseIdempotencyKey(headerOf('idempotency-key')(context)),
);

/** `@Prefer() prefer: Preferences`. Documented by `@Route({ act })`. */
export const Prefer = createParamDecorator((_: unknown, context: ExecutionContext) =>
  parsePrefer(headerOf('prefer')(context)),
);

/** `@IfMatch() version: number`. Documented by `@Route({ ifMatch: true })`. */
export const IfMatch = createParamDecorator((_: unknown, context: ExecutionContext) =>
  parseIfMatch(headerOf('if-match')(context)),
);
