import { randomBytes } from 'node:crypto';
import { Ajv } from 'ajv';
import fc from 'fast-check';
import type { DataSource } from 'typeorm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createDataSource } from '../../../../libs/database/src/data-source.js';
import { MirrorBuilder, someRecordId } from '../../../../test/builders/mirror.builder.js';
import { type TestGateway, testGateway } from '../../../../test/stack/gateway.js';

interface Schema {
  $ref?: string;
  type?: string;
  enum?: unknown[];
  example?: unknown;
  examples?: unknown[];
  properties?: Record<string, Schema>;
  required?: string[];
  items?: Schema;
  anyOf?: Schema[];
  oneOf?: Schema[];
}
interface Parameter {
  name: string;
  in: 'path' | 'query' | 'header';
  required?: boolean;
  schema: Schema;
}
interface Operation {
  parameters?: Parameter[];
  requestBody?: { content: Record<string, { schema: Schema }> };
  responses: Record<string, { content?: Record<string, { schema: Schema }> }>;
  'x-problems': string[];
}
interface Document {
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, Schema> };
}
interface Try {
  url: string;
  headers: Record<string, string>;
  body: string | undefined;
}

const SEED = 20_260_301;
const TRIES = 60;
/** The node behind this gateway isn't there: routes that ask it may say so, where their document does. */
const ALLOWED_5XX = new Set(['CHAIN_UNAVAILABLE']);

let gateway: TestGateway;
let mirror: DataSource;
let document: Document;
let token: string;
let recordId: string;
let operationId: string;
const ajv = new Ajv({ strict: false, validateFormats: false });

beforeAll(async () => {
  gateway = await testGateway({ env: { BUILTIN_ISSUER: 'on', RATE_LIMIT_PER_MINUTE: '1000000' } });
  document = (await (await fetch(`${gateway.url}/openapi.json`)).json()) as Document;
  ajv.addSchema({ $id: 'document', ...document });
  const roles = ['clinician', 'records-officer', 'privacy-officer', 'patient', 'admin', 'auditor'];
  token = await gateway.token('everybody', roles);
  // Something to find: a record, and an act that never ends.
  mirror = await createDataSource({ url: gateway.database.mirrorUrl, applicationName: 'test' }).initialize();
  const id = someRecordId(1);
  recordId = `0x${id.toString('hex')}`;
  await new MirrorBuilder(mirror).record('local', { recordId: id });
  const registered = await send('post', {
    url: '/v1/admin/actors',
    headers: { 'content-type': 'application/json', 'idempotency-key': 'everybody' },
    body: JSON.stringify({ issuer: 'https://issuer.test', subject: 'everybody', roles: ['clinician'] }),
  });
  operationId = (JSON.parse(registered.text) as { id: string }).id;
});
afterAll(async () => {
  await mirror?.destroy();
  await gateway?.close();
});

const junk = fc.oneof(
  fc.jsonValue({ maxDepth: 2 }),
  fc.constantFrom(null, true, -1, 0, 1e308, 2 ** 53, '', '0x', '\u0000', '💊', 'x'.repeat(3_000), [], {}, [[[[]]]]),
);

function resolved(schema: Schema): Schema {
  return schema.$ref ? resolved(document.components.schemas[schema.$ref.split('/').at(-1)!]!) : schema;
}

/** Mostly a value the schema asks for, now and then something else in any place. */
function someOf(given: Schema, depth = 0): fc.Arbitrary<unknown> {
  const schema = resolved(given);
  const alternatives = schema.anyOf ?? schema.oneOf;
  const good = alternatives
    ? fc.oneof(...alternatives.map((one) => someOf(one, depth + 1)))
    : schema.enum
      ? fc.constantFrom(...schema.enum)
      : schema.type === 'object' || schema.properties
        ? objectOf(schema, depth)
        : schema.type === 'array'
          ? fc.array(someOf(schema.items ?? {}, depth + 1), { maxLength: 3 })
          : schema.type === 'boolean'
            ? fc.boolean()
            : schema.type === 'integer' || schema.type === 'number'
              ? fc.oneof(fc.constant(schema.example ?? 1), fc.integer(), fc.constantFrom(0, -1, 2 ** 32, 0.5))
              : textOf(schema);
  return depth > 6 ? fc.constant(null) : fc.oneof({ weight: 9, arbitrary: good }, { weight: 1, arbitrary: junk });
}

function objectOf(schema: Schema, depth: number): fc.Arbitrary<unknown> {
  const members = Object.entries(schema.properties ?? {});
  const model = Object.fromEntries(members.map(([name, member]) => [name, someOf(member, depth + 1)]));
  const kept = fc.record(model, { requiredKeys: (schema.required ?? []).filter((name) => name in model) });
  const lacking = fc.record(model, { requiredKeys: [] });
  const extra = kept.map((value) => ({ ...(value as object), surprise: 1 }));
  return fc.oneof({ weight: 8, arbitrary: kept }, { weight: 1, arbitrary: lacking }, { weight: 1, arbitrary: extra });
}

function textOf(schema: Schema): fc.Arbitrary<string> {
  return fc.oneof(
    { weight: 4, arbitrary: fc.constant(String(schema.example ?? recordId)) },
    { weight: 2, arbitrary: fc.constantFrom(recordId, operationId, `0x${randomBytes(32).toString('hex')}`) },
    { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 80 }) },
  );
}

/** Everything of a request that its route declares, as `someOf` makes it. */
function tryOf(path: string, operation: Operation): fc.Arbitrary<Try> {
  const parameters = operation.parameters ?? [];
  const values = fc.record(Object.fromEntries(parameters.map((one) => [`${one.in} ${one.name}`, someOf(one.schema)])));
  const present = fc.record(
    Object.fromEntries(
      parameters.map((one) => [`${one.in} ${one.name}`, one.required ? often(0.95) : often(0.5)] as const),
    ),
  );
  const [mediaType, content] = Object.entries(operation.requestBody?.content ?? {})[0] ?? [];
  const json = content && /json/.test(mediaType!);
  const body = !content
    ? fc.constant(undefined)
    : fc.oneof(
        { weight: 9, arbitrary: (json ? someOf(content.schema) : junk).map((value) => JSON.stringify(value)) },
        { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 200 }) },
      );
  const sentAs = fc.oneof(
    { weight: 12, arbitrary: fc.constant(mediaType === '*/*' ? 'application/fhir+json' : (mediaType ?? '')) },
    { weight: 1, arbitrary: fc.constantFrom('', 'text/plain', 'application/x-www-form-urlencoded', 'x') },
  );
  return fc.record({ values, present, body, sentAs }).map((it) => {
    const text = (place: string) => {
      const value = (it.values as Record<string, unknown>)[place];
      return typeof value === 'string' ? value : (JSON.stringify(value) ?? '');
    };
    const given = (one: Parameter) => one.in === 'path' || it.present[`${one.in} ${one.name}`];
    const headers: Record<string, string> = {};
    const query = new URLSearchParams();
    let url = path;
    for (const one of parameters.filter(given)) {
      const value = text(`${one.in} ${one.name}`);
      // An empty segment, or one of dots alone, makes another path.
      if (one.in === 'path') url = url.replace(`{${one.name}}`, encodeURIComponent(/^\.*$/.test(value) ? 'x' : value));
      else if (one.in === 'query') query.append(one.name, value);
      else if (/^[\x21-\x7e][\x20-\x7e]*$/.test(value)) headers[one.name.toLowerCase()] = value.trim();
    }
    if (headers.prefer) headers.prefer = headers.prefer.replace(/wait=\d+/, 'wait=0');
    if (it.body !== undefined && it.sentAs !== '') headers['content-type'] = it.sentAs;
    return { url: query.size > 0 ? `${url}?${query}` : url, headers, body: it.body };
  });
}

function often(probability: number): fc.Arbitrary<boolean> {
  return fc.double({ min: 0, max: 1, noNaN: true }).map((drawn) => drawn < probability);
}

async function send(method: string, { url, headers, body }: Try) {
  const response = await fetch(gateway.url + url, {
    method: method.toUpperCase(),
    headers: { authorization: `Bearer ${token}`, ...headers },
    // Bytes, so that fetch doesn't choose a Content-Type.
    ...(body === undefined ? {} : { body: new Uint8Array(Buffer.from(body)) }),
  });
  const type = response.headers.get('content-type')?.split(';')[0] ?? '';
  if (type !== 'text/event-stream') return { status: response.status, type, text: await response.text() };
  await response.body?.cancel();
  return { status: response.status, type, text: '' };
}

/** What of an answer is not in the document; undefined when all is. */
function strangeness(operation: Operation, pointer: string, answer: Awaited<ReturnType<typeof send>>) {
  const documented = operation.responses[String(answer.status)];
  if (!documented) return 'a status that is not documented';
  if (answer.type === 'application/problem+json') {
    const { code } = JSON.parse(answer.text) as { code: string };
    if (!operation['x-problems'].includes(code)) return `a problem that is not documented: ${code}`;
    return answer.status >= 500 && !ALLOWED_5XX.has(code) ? `${code}` : undefined;
  }
  if (answer.status >= 400) return 'a refusal that is no problem document';
  const content = documented.content ?? {};
  if (answer.type !== 'application/json' || !content['application/json']) return undefined;
  const status = `${pointer}/responses/${answer.status}/content/application~1json/schema`;
  const validate = ajv.compile({ $ref: `document#${status}` });
  return validate(JSON.parse(answer.text)) ? undefined : `a body that is not: ${ajv.errorsText(validate.errors)}`;
}

describe('requests made from the OpenAPI document, right and wrong', () => {
  it('get what the document says and nothing else, and no failure of ours', async () => {
    const strange: unknown[] = [];
    const statuses = new Map<number, number>();
    for (const [path, item] of Object.entries(document.paths)) {
      for (const [method, operation] of Object.entries(item)) {
        const pointer = `/paths/${path.replaceAll('/', '~1').replace(/[{}]/g, encodeURIComponent)}/${method}`;
        for (const attempt of fc.sample(tryOf(path, operation), { numRuns: TRIES, seed: SEED })) {
          const answer = await send(method, attempt);
          statuses.set(answer.status, (statuses.get(answer.status) ?? 0) + 1);
          const what = strangeness(operation, pointer, answer);
          if (what) strange.push({ what, method, ...attempt, answer });
        }
      }
    }
    expect(strange).toEqual([]);
    // It got further than the door: both what is right and what is wrong was among it.
    for (const status of [200, 202, 400, 404, 415]) expect(statuses.get(status), String(status)).toBeGreaterThan(0);
    expect(gateway.log.filter((line) => line.includes('"INTERNAL"'))).toEqual([]);
  });
});
