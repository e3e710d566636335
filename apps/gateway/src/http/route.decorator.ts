import { applyDecorators, UseInterceptors } from '@nestjs/common';
import { RouteConfig } from '@nestjs/platform-fastify';
import { ApiConsumes, ApiExtension, ApiHeader, ApiOperation, ApiProduces, ApiResponse } from '@nestjs/swagger';
import type { ZodType } from 'zod';
import type { ErrorCode } from '../../../../libs/platform/src/errors.js';
import { LookInterceptor } from '../audit/look.interceptor.js';
import type { LookKind } from '../audit/look.js';
import type { RoleName } from '../auth/caller.js';
import { operationSchema } from '../operations/operation.schema.js';

interface Success {
  description?: string;
  schema?: ZodType;
  /** Media types of an answer that isn't JSON of `schema`. */
  mediaTypes?: string[];
  headers?: Record<string, string>;
}

export interface RouteOptions {
  summary: string;
  description?: string;
  /** Who may call: any of these roles; 'any' authenticated caller; 'public' without a token. Checked before a body is read. */
  roles: readonly RoleName[] | 'any' | 'public';
  /** What a success looks like: a schema, or more. Default for acts: the operation. */
  success?: Partial<Record<200 | 201 | 202 | 204, ZodType | Success>>;
  /**
   * The route asks for an act on the ledger: Idempotency-Key and Prefer are documented, 202 and the problems every act can meet as well.
   * 'creates': 201 with Location once confirmed; 'changes': 200.
   */
  act?: 'creates' | 'changes';
  ifMatch?: boolean;
  /**
   * What this look is in the access log. Every route that shows something has one; plain looks are logged by this alone, all others by their
   * feature, which knows the record. Either way before anything is answered; a test calls each route and looks for its entry.
   */
  look?: LookKind;
  /** Problems of this route beyond those every route, act and body can meet (http/openapi.ts adds those). */
  problems?: readonly ErrorCode[];
  /** Bytes a body may have; default 100 kB. */
  bodyLimit?: number;
  /** The body arrives as a Buffer, of any of these media types, instead of JSON. `*` stands for any. */
  rawBody?: readonly string[];
  /** Media types beyond JSON this route may answer with, for Accept; `*` takes any. */
  produces?: readonly string[];
}

/** What the hooks of app.setup.ts read of a route. */
export interface RouteAccess {
  roles?: readonly RoleName[] | 'any' | 'public';
  bodyLimit?: number;
  rawBody?: readonly string[];
  produces?: readonly string[];
  look?: LookKind;
}

const actProblems: readonly ErrorCode[] = [
  'IDEMPOTENCY_KEY_MISSING',
  'DENIED_BY_LEDGER',
  'OPERATION_FAILED',
  'IDEMPOTENCY_MISMATCH',
  'CHAIN_UNAVAILABLE',
  'QUEUE_FULL',
];

const operationHeaders = {
  Location: 'Where to look next: what was made, or the operation.',
  'Retry-After': 'Seconds until it makes sense to look.',
};

/**
 * Everything about a route but its path: who may call it, its limits, and its entry in the OpenAPI document.
 * A route without it is refused at start: nothing is public, or undocumented, by accident.
 */
export function Route(options: RouteOptions): MethodDecorator {
  const { act, roles } = options;
  const access: RouteAccess = {
    roles,
    ...(options.bodyLimit === undefined ? {} : { bodyLimit: options.bodyLimit }),
    ...(options.rawBody ? { rawBody: options.rawBody } : {}),
    ...(options.produces ? { produces: options.produces } : {}),
    ...(options.look ? { look: options.look } : {}),
  };
  const success: NonNullable<RouteOptions['success']> = {
    ...(act
      ? { 202: { schema: operationSchema, headers: operationHeaders, description: 'Accepted, not yet final.' } }
      : {}),
    ...(act === 'creates'
      ? {
          201: {
            schema: operationSchema,
            headers: operationHeaders,
            description: 'Confirmed; Location is what was made.',
          },
        }
      : {}),
    ...(act === 'changes' ? { 200: { schema: operationSchema, description: 'Confirmed.' } } : {}),
    ...options.success,
  };
  const decorators: MethodDecorator[] = [
    RouteConfig(access),
    ApiOperation({ summary: options.summary, ...(options.description ? { description: options.description } : {}) }),
    ApiExtension('x-roles', roles),
    ApiExtension('x-problems', [...(act ? actProblems : []), ...(options.problems ?? [])]),
    ...Object.entries(success).map(([status, given]) => responseOf(Number(status), given)),
  ];
  if (options.look) {
    decorators.push(ApiExtension('x-access-log', options.look), UseInterceptors(LookInterceptor));
  }
  if (act) {
    decorators.push(
      ApiHeader({
        name: 'Idempotency-Key',
        required: true,
        description: 'New for each act, the same for each retry.',
        schema: { type: 'string', minLength: 1, maxLength: 128, pattern: '^[\\x21-\\x7e]+$', example: 'b7f1c0d2-1' },
      }),
      ApiHeader({
        name: 'Prefer',
        required: false,
        description:
          'RFC 7240: `wait=N` (at most 30 s) waits for the end; `return=representation` answers with the resource where there is one.',
        schema: { type: 'string', example: 'wait=5, return=representation' },
      }),
    );
  }
  if (options.ifMatch) {
    decorators.push(
      ApiHeader({
        name: 'If-Match',
        required: true,
        description: 'The ETag of the version this builds on.',
        schema: { type: 'string', example: '"v1"' },
      }),
    );
  }
  if (options.rawBody) decorators.push(ApiConsumes(...options.rawBody.map((type) => (type === '*' ? '*/*' : type))));
  if (options.produces) {
    decorators.push(ApiProduces('application/json', ...options.produces.map((type) => (type === '*' ? '*/*' : type))));
  }
  return applyDecorators(...decorators);
}

function responseOf(status: number, given: ZodType | Success): MethodDecorator {
  const success: Success = '~standard' in given ? { schema: given } : given;
  const headers = Object.fromEntries(
    Object.entries(success.headers ?? {}).map(([name, description]) => [
      name,
      { description, schema: { type: 'string' } },
    ]),
  );
  const common = { status, description: success.description ?? '', headers };
  if (success.mediaTypes) {
    const content = Object.fromEntries(
      success.mediaTypes.map((type) => [type, { schema: { type: 'string' as const, format: 'binary' } }]),
    );
    return ApiResponse({ ...common, content }) as MethodDecorator;
  }
  return ApiResponse(success.schema ? { ...common, standardSchema: success.schema } : common) as MethodDecorator;
}
