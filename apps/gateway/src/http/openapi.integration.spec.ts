import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { catalogue, type ErrorCode } from '../../../../libs/platform/src/errors.js';
import { type TestGateway, testGateway } from '../../../../test/stack/gateway.js';

interface Operation {
  operationId: string;
  summary?: string;
  security?: unknown[];
  parameters?: { name: string; in: string; schema?: unknown }[];
  requestBody?: { content: Record<string, { schema?: object }> };
  responses: Record<string, { content?: Record<string, { schema?: { $ref?: string } & object }> }>;
  'x-problems': ErrorCode[];
}
interface Document {
  openapi: string;
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, unknown>; securitySchemes: Record<string, unknown> };
}

let gateway: TestGateway;
let document: Document;
const operations: { path: string; method: string; operation: Operation }[] = [];

beforeAll(async () => {
  gateway = await testGateway({ env: { BUILTIN_ISSUER: 'on' } });
  document = (await (await fetch(`${gateway.url}/openapi.json`)).json()) as Document;
  for (const [path, item] of Object.entries(document.paths)) {
    for (const [method, operation] of Object.entries(item)) operations.push({ path, method, operation });
  }
});
afterAll(() => gateway?.close());

/** Routes as the router has them, in the document's notation. */
function routes(): string[] {
  return gateway.edge.routes
    .filter(({ method, url }) => method !== 'HEAD' && !/^\/(docs|openapi)/.test(url))
    .map(({ method, url }) => `${method.toLowerCase()} ${url.replace(/:(\w+)/g, '{$1}')}`)
    .sort();
}

describe('the OpenAPI document', () => {
  it('has exactly the routes there are', () => {
    expect(operations.map(({ path, method }) => `${method} ${path}`).sort()).toEqual(routes());
  });

  it('says for each route what it does, who may call it, and everything it may answer', () => {
    for (const { path, method, operation } of operations) {
      const name = `${method} ${path}`;
      expect(operation.summary, name).toBeTruthy();
      expect(
        Object.keys(operation.responses).some((status) => /^2\d\d$/.test(status)),
        name,
      ).toBe(true);
      for (const code of operation['x-problems']) {
        const response = operation.responses[String(catalogue[code].status)];
        expect(response?.content?.['application/problem+json'], `${name} ${code}`).toBeDefined();
      }
      if (operation.security) expect(operation.responses['401'], name).toBeDefined();
    }
  });

  it('describes the body of every answer and request', () => {
    for (const { path, method, operation } of operations) {
      const name = `${method} ${path}`;
      for (const [status, response] of Object.entries(operation.responses)) {
        if (status === '204') continue;
        const contents = Object.values(response.content ?? {});
        expect(contents.length, `${name} ${status} has no content`).toBeGreaterThan(0);
        for (const content of contents)
          expect(Object.keys(content.schema ?? {}).length, `${name} ${status}`).toBeGreaterThan(0);
      }
      for (const content of Object.values(operation.requestBody?.content ?? {})) {
        expect(Object.keys(content.schema ?? {}).length, `${name} body`).toBeGreaterThan(0);
      }
    }
  });

  it('names every parameter of a path, and gives every parameter a schema', () => {
    for (const { path, method, operation } of operations) {
      const wanted = [...path.matchAll(/\{(\w+)\}/g)].map((match) => match[1]);
      const named = (operation.parameters ?? []).filter((parameter) => parameter.in === 'path').map(({ name }) => name);
      expect(named.sort(), `${method} ${path}`).toEqual(wanted.sort());
      for (const parameter of operation.parameters ?? [])
        expect(parameter.schema, `${method} ${path} ${parameter.name}`).toBeDefined();
    }
  });

  it('points only to schemas it has', () => {
    const references = [...JSON.stringify(document).matchAll(/"#\/components\/schemas\/([^"]+)"/g)].map(
      (match) => match[1]!,
    );
    for (const name of new Set(references)) expect(Object.keys(document.components.schemas)).toContain(name);
    expect(Object.keys(document.components.schemas)).toContain('Problem');
  });

  it('gives each operation an id of its own', () => {
    const ids = operations.map(({ operation }) => operation.operationId);
    expect(new Set(ids).size).toBe(ids.length);
  });

  it('tells how to authenticate, and Swagger UI shows it', async () => {
    expect(document.components.securitySchemes).toHaveProperty('bearer');
    const page = await fetch(`${gateway.url}/docs`);
    expect(page.status).toBe(200);
    expect(page.headers.get('content-type')).toContain('text/html');
    for (const asset of ['swagger-ui-bundle.js', 'swagger-ui.css', 'swagger-ui-init.js']) {
      expect((await fetch(`${gateway.url}/docs/${asset}`)).status, asset).toBe(200);
    }
  });
});
