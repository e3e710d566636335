import type { FastifyInstance, RouteOptions } from 'fastify';
import type { RouteAccess } from './route.decorator.js';

declare module 'fastify' {
  // Fastify's own place for what a route declares of itself.
  interface FastifyContextConfig extends RouteAccess {}
}

/** Served by Swagger, which declares nothing itself. */
const documentation = /^\/(docs(\/.*)?|openapi\.json)$/;

/**
 * Knows every route: refuses one that doesn't say who may call it, sets its body limit, and finds which methods a path has.
 * To be installed before the routes are.
 */
export class RouteTable {
  readonly #routes: { pattern: RegExp; method: string; url: string }[] = [];

  /** @param contentLimit bytes of a body that is taken raw, where the route sets no limit of its own */
  constructor(
    instance: FastifyInstance,
    private readonly contentLimit: number,
  ) {
    instance.addHook('onRoute', (route) => this.#add(route));
  }

  get all(): readonly { method: string; url: string }[] {
    return this.#routes;
  }

  /** Methods that exist for a path (without query); empty when there is no such path. */
  methodsOf(path: string): string[] {
    const methods = this.#routes.filter(({ pattern }) => pattern.test(path)).map(({ method }) => method);
    return [...new Set(methods)].sort();
  }

  #add(route: RouteOptions): void {
    route.config ??= {};
    const config: RouteAccess = route.config;
    if (config.roles === undefined) {
      if (!documentation.test(route.url)) throw new Error(`${route.method} ${route.url} has no @Route()`);
      Object.assign(config, { roles: 'public', produces: ['*'] } satisfies RouteAccess);
    }
    const limit = config.bodyLimit ?? (config.rawBody ? this.contentLimit : undefined);
    if (limit !== undefined) route.bodyLimit = limit;
    const source = route.url
      .split('/')
      .map((part) =>
        part.startsWith(':') ? '[^/]+' : part === '*' ? '.*' : part.replace(/[.+?^${}()|[\]\\]/g, '\\$&'),
      )
      .join('/');
    for (const method of [route.method].flat())
      this.#routes.push({ pattern: new RegExp(`^${source}$`), method, url: route.url });
  }
}
