/** Codes of failures that are ours and not the node's answer. */
export type TransportFailure = 'TIMEOUT' | 'CONNECTION' | 'HTTP_STATUS' | 'MALFORMED' | 'CLOSED';

export interface RpcErrorDetails {
  /** JSON-RPC error code as the node gave it, or what went wrong on the way to it. */
  code: number | TransportFailure;
  method?: string;
  /** The node's `error.data`. */
  data?: unknown;
  /** True when the same request may succeed later. For a request that changes something the outcome is then unknown. */
  retryable: boolean;
  cause?: unknown;
}

/** A JSON-RPC request that brought no result. */
export class RpcError extends Error {
  readonly code: number | TransportFailure;
  readonly method: string | undefined;
  readonly data: unknown;
  readonly retryable: boolean;

  constructor(message: string, details: RpcErrorDetails) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = 'RpcError';
    this.code = details.code;
    this.method = details.method;
    this.data = details.data;
    this.retryable = details.retryable;
  }

  /** True when the node itself answered: it saw the request and refused it. */
  get answered(): boolean {
    return typeof this.code === 'number';
  }

  /** The error object of a JSON-RPC response. */
  static fromResponse(error: { code?: unknown; message?: unknown; data?: unknown }, method: string): RpcError {
    const message = typeof error.message === 'string' ? error.message : 'The node gave no reason.';
    const code = typeof error.code === 'number' ? error.code : 0;
    return new RpcError(message, { code, method, data: error.data, retryable: isPassing(code, message) });
  }
}

// -32002 and -32005: timed out, limit exceeded. A node that has just started answers receipts with "indexing is in progress".
function isPassing(code: number, message: string): boolean {
  return (
    code === -32002 || code === -32005 || /in progress|not ready|try again|timed? ?out|too many requests/i.test(message)
  );
}
