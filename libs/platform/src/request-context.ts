import { AsyncLocalStorage } from 'node:async_hooks';
import { randomUUID } from 'node:crypto';

/** What follows one request through the process, into its log lines and on to other hospitals' gateways. */
export interface RequestContext {
  requestId: string;
  /** W3C trace context as received, when well-formed. `baggage` is dropped: it may carry anything. */
  traceparent?: string;
}

export const requestContext = new AsyncLocalStorage<RequestContext>();

/** The client's X-Request-Id where it is 1 to 64 visible ASCII characters, else a new one. */
export function requestIdOf(header: string | string[] | undefined): string {
  return typeof header === 'string' && /^[\x21-\x7e]{1,64}$/.test(header) ? header : randomUUID();
}

/** A well-formed version-00 traceparent; undefined otherwise. */
export function traceparentOf(header: string | string[] | undefined): string | undefined {
  if (typeof header !== 'string' || !/^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/.test(header)) return undefined;
  return /^00-(0{32}-|[0-9a-f]{32}-0{16}-)/.test(header) ? undefined : header;
}

/** Headers that carry the context to another gateway. */
export function outgoingContextHeaders(): Record<string, string> {
  const context = requestContext.getStore();
  if (!context) return {};
  return {
    'x-request-id': context.requestId,
    ...(context.traceparent ? { traceparent: context.traceparent } : {}),
  };
}
