import type { INestApplication } from '@nestjs/common';
import { DocumentBuilder, type OpenAPIObject, SwaggerModule } from '@nestjs/swagger';
import { catalogue, type ErrorCode, ProblemError, problemDocument } from '../../../../libs/platform/src/errors.js';

type Operation = NonNullable<OpenAPIObject['paths'][string]['get']> & {
  'x-roles'?: string | string[];
  'x-problems'?: ErrorCode[];
};

const methods = ['get', 'post', 'put', 'patch', 'delete'] as const;

const problemSchema = {
  type: 'object' as const,
  description: 'RFC 9457 problem document. Never personal data.',
  required: ['type', 'title', 'status', 'detail', 'instance', 'code'],
  properties: {
    type: { type: 'string', format: 'uri-reference', example: '/problems/not-found' },
    title: { type: 'string' },
    status: { type: 'integer', example: 404 },
    detail: { type: 'string' },
    instance: { type: 'string', description: 'The X-Request-Id under which the log knows this occurrence.' },
    code: { type: 'string', enum: Object.keys(catalogue) },
    errors: {
      type: 'array',
      items: {
        type: 'object',
        required: ['pointer', 'message'],
        properties: { pointer: { type: 'string', example: '/securityLevel' }, message: { type: 'string' } },
      },
    },
    reason: {
      type: 'string',
      description: 'Why the ledger refused (DENIED_BY_LEDGER), or what stands in the way (CONFLICT).',
    },
    operation: { $ref: '#/components/schemas/Operation' },
  },
};

/** The document of every route, complete: what the decorators say, and what the edge can answer on any route. */
export function buildDocument(app: INestApplication, settings: { title: string; url: string }): OpenAPIObject {
  const config = new DocumentBuilder()
    .setTitle(settings.title)
    .setDescription(
      'Each act on a medical record becomes a signed, confirmed, audited transaction. Get a token at POST /v1/auth/token, press Authorize, paste it.',
    )
    .setVersion('1')
    .addServer(settings.url)
    .addBearerAuth({ type: 'http', scheme: 'bearer', bearerFormat: 'JWT' }, 'bearer')
    .build();
  const document = SwaggerModule.createDocument(app, config, {
    operationIdFactory: (controller, method) => `${controller.replace(/Controller$/, '')}_${method}`,
  });
  document.components ??= {};
  document.components.schemas = { ...document.components.schemas, Problem: problemSchema as never };
  for (const item of Object.values(document.paths)) {
    for (const method of methods) {
      if (item[method]) complete(item[method] as Operation);
    }
  }
  return document;
}

function complete(operation: Operation): void {
  const open = operation['x-roles'] === 'public';
  if (!open) operation.security = [{ bearer: [] }];
  const codes = new Set<ErrorCode>([...edgeProblems(operation, open), ...(operation['x-problems'] ?? [])]);
  operation['x-problems'] = [...codes];
  for (const status of new Set([...codes].map((code) => catalogue[code].status))) {
    operation.responses[String(status)] = problemResponse(
      [...codes].filter((code) => catalogue[code].status === status),
    );
  }
  for (const response of Object.values(operation.responses)) {
    if (response && 'description' in response) {
      response.headers = {
        ...response.headers,
        'X-Request-Id': { schema: { type: 'string' }, description: 'As sent, or new.' },
      };
    }
  }
}

/** What can happen before a handler runs. */
function edgeProblems(operation: Operation, open: boolean): ErrorCode[] {
  const parameters = (operation.parameters ?? []) as { in?: string }[];
  const hasBody = operation.requestBody !== undefined;
  return [
    'MALFORMED_REQUEST',
    'NOT_ACCEPTABLE',
    'TOO_MANY_REQUESTS',
    'INTERNAL',
    'DATABASE_UNAVAILABLE',
    'SHUTTING_DOWN',
    ...(open ? [] : (['UNAUTHENTICATED', 'ISSUER_UNAVAILABLE', 'FORBIDDEN'] as const)),
    ...(hasBody || parameters.length > 0 ? (['INVALID_INPUT'] as const) : []),
    ...(parameters.some((parameter) => parameter.in === 'path') ? (['NOT_FOUND', 'URI_TOO_LONG'] as const) : []),
    ...(hasBody ? (['PAYLOAD_TOO_LARGE', 'UNSUPPORTED_MEDIA_TYPE', 'REQUEST_TIMEOUT'] as const) : []),
  ];
}

function problemResponse(codes: ErrorCode[]) {
  const examples = Object.fromEntries(
    codes.map((code) => [
      code,
      { value: problemDocument(new ProblemError(code), '0b8c6d1e-6a1f-4d0c-9a53-2f1f5d7f2c11') },
    ]),
  );
  const status = catalogue[codes[0] as ErrorCode].status;
  return {
    description: codes.map((code) => `\`${code}\`: ${catalogue[code].sentence}`).join('\n\n'),
    headers: {
      ...(status === 429 || status === 503 ? { 'Retry-After': { schema: { type: 'integer' as const } } } : {}),
      ...(status === 401 ? { 'WWW-Authenticate': { schema: { type: 'string' as const } } } : {}),
    },
    content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' }, examples } },
  };
}
