import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { ProblemError, problemDocument } from '../../../../libs/platform/src/errors.js';
import { requestIdOf } from '../../../../libs/platform/src/request-context.js';
import { securityHeaders } from './security-headers.js';

const TOO_MANY = new ProblemError('QUEUE_FULL', { retryAfter: 1 });
const HEADERS = {
  ...securityHeaders(),
  ...{ 'content-type': 'application/problem+json', 'cache-control': 'no-store', ...TOO_MANY.headers },
};

export interface Shedding {
  /** Whether more acts wait than a second or so carries. */
  crowded(): boolean;
  /** One was refused. */
  onRefused(): void;
}

/**
 * Refuses acts before the application sees them while too many wait. At thousands a second, a route, a token, a body and a line of log for
 * each refusal cost more than the acts under way leave over. What isn't an act (no Idempotency-Key) goes on.
 */
export function shedActs(server: Server, { crowded, onRefused }: Shedding): void {
  const handlers = server.listeners('request') as ((request: IncomingMessage, response: ServerResponse) => void)[];
  server.removeAllListeners('request');
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    if (request.headers['idempotency-key'] === undefined || request.method !== 'POST' || !crowded()) {
      for (const handler of handlers) handler.call(server, request, response);
      return;
    }
    onRefused();
    const id = requestIdOf(request.headers['x-request-id']);
    const body = JSON.stringify(problemDocument(TOO_MANY, id));
    response.writeHead(TOO_MANY.status, {
      ...HEADERS,
      ...{ 'content-length': Buffer.byteLength(body), 'x-request-id': id },
    });
    response.end(body);
    request.resume();
  });
}
