/** Whether the same request may succeed later, and what a person or program should do about it. */
interface CatalogueRow {
  status: number;
  retryable: boolean;
  /** Says what to do. Shown to the caller, so it names no person, record or secret. */
  sentence: string;
}

/** Every error the product answers with. The code is for programs and for ever; the sentence is for people and may improve. */
export const catalogue = {
  INVALID_INPUT: {
    status: 400,
    retryable: false,
    sentence: 'Correct the fields listed in "errors" and send it again.',
  },
  MALFORMED_REQUEST: {
    status: 400,
    retryable: false,
    sentence: 'Send a well-formed HTTP request with a valid URL and UTF-8 JSON.',
  },
  IDEMPOTENCY_KEY_MISSING: {
    status: 400,
    retryable: false,
    sentence:
      'Send an Idempotency-Key header: 1 to 128 visible ASCII characters, new for each act, the same for each retry.',
  },
  INVALID_CURSOR: {
    status: 400,
    retryable: false,
    sentence: 'Start again without a cursor; use cursors only as they were given.',
  },
  UNAUTHENTICATED: {
    status: 401,
    retryable: false,
    sentence: 'Send a valid, unexpired Bearer token issued for this hospital.',
  },
  STEP_UP_REQUIRED: {
    status: 401,
    retryable: false,
    sentence: 'Authenticate again with a stronger method, then repeat the request.',
  },
  FORBIDDEN: { status: 403, retryable: false, sentence: 'Your roles do not allow this; ask your administrator.' },
  DENIED_BY_LEDGER: {
    status: 403,
    retryable: false,
    sentence: 'The ledger refused this act and recorded the refusal; "reason" says why.',
  },
  NOT_FOUND: {
    status: 404,
    retryable: false,
    sentence: 'Nothing is there, or nothing that you may see; check the address.',
  },
  METHOD_NOT_ALLOWED: { status: 405, retryable: false, sentence: 'Use one of the methods in the Allow header.' },
  NOT_ACCEPTABLE: {
    status: 406,
    retryable: false,
    sentence: 'Accept application/json, or the media type that this route serves.',
  },
  REQUEST_TIMEOUT: { status: 408, retryable: true, sentence: 'The request took too long to arrive; send it again.' },
  CONFLICT: {
    status: 409,
    retryable: false,
    sentence: 'This does not fit the present state; read the resource and decide again.',
  },
  OPERATION_FAILED: {
    status: 409,
    retryable: false,
    sentence: 'The operation ended without any effect; to try again, use a new Idempotency-Key.',
  },
  GONE: { status: 410, retryable: false, sentence: 'This existed and was erased, or its time is over.' },
  PRECONDITION_FAILED: {
    status: 412,
    retryable: false,
    sentence: 'The record has moved on: read it again and use its present ETag.',
  },
  PAYLOAD_TOO_LARGE: { status: 413, retryable: false, sentence: 'Send a smaller body.' },
  URI_TOO_LONG: { status: 414, retryable: false, sentence: 'Send a shorter address.' },
  UNSUPPORTED_MEDIA_TYPE: {
    status: 415,
    retryable: false,
    sentence: 'Send the body as a media type that this route takes, such as application/json.',
  },
  EXPECTATION_FAILED: { status: 417, retryable: false, sentence: 'Send no Expect header other than 100-continue.' },
  IDEMPOTENCY_MISMATCH: {
    status: 422,
    retryable: false,
    sentence: 'This Idempotency-Key was used for another request; use a new key for a new act.',
  },
  PRECONDITION_REQUIRED: {
    status: 428,
    retryable: false,
    sentence: 'Send If-Match with the ETag of the version you changed.',
  },
  TOO_MANY_REQUESTS: {
    status: 429,
    retryable: true,
    sentence: 'Wait as long as Retry-After says, then go on more slowly.',
  },
  HEADERS_TOO_LARGE: { status: 431, retryable: false, sentence: 'Send fewer or shorter headers.' },
  INTERNAL: {
    status: 500,
    retryable: true,
    sentence: 'Something failed here; try again, and report the instance if it stays.',
  },
  PEER_UNAVAILABLE: {
    status: 502,
    retryable: true,
    sentence: 'The other hospital could not be reached or gave no valid answer; try again later.',
  },
  PEER_TIMEOUT: {
    status: 504,
    retryable: true,
    sentence: 'The other hospital did not answer in time; try again later.',
  },
  ISSUER_UNAVAILABLE: {
    status: 503,
    retryable: true,
    sentence: 'The keys of the token issuer are out of reach; try again as Retry-After says.',
  },
  CHAIN_UNAVAILABLE: {
    status: 503,
    retryable: true,
    sentence: 'The ledger node is out of reach; try again as Retry-After says.',
  },
  DATABASE_UNAVAILABLE: {
    status: 503,
    retryable: true,
    sentence: 'The database is out of reach; try again as Retry-After says, with the same key.',
  },
  QUEUE_FULL: {
    status: 503,
    retryable: true,
    sentence: 'Too many acts are waiting; nothing was stored. Try again as Retry-After says.',
  },
  SHUTTING_DOWN: {
    status: 503,
    retryable: true,
    sentence: 'This gateway is stopping; try again, another one or the next start will answer.',
  },
} as const satisfies Record<string, CatalogueRow>;

export type ErrorCode = keyof typeof catalogue;

/** One thing wrong in the input: RFC 6901 pointer into the body, or `query/name`, `path/name`, `header/name`. */
export interface InputError {
  pointer: string;
  message: string;
}

export interface ProblemOptions {
  /** A sentence about this occurrence. Never personal data. */
  detail?: string;
  errors?: InputError[];
  /** Extension members of the problem document, such as `reason` and `operation`. */
  extensions?: Record<string, unknown>;
  headers?: Record<string, string>;
  /** Seconds for Retry-After. */
  retryAfter?: number;
  cause?: unknown;
}

/** Thrown anywhere; the one filter turns it into a problem document. Short message first, the cause is kept for the log. */
export class ProblemError extends Error {
  override readonly name = 'ProblemError';
  readonly status: number;
  readonly retryable: boolean;

  constructor(
    readonly code: ErrorCode,
    readonly options: ProblemOptions = {},
  ) {
    super(options.detail ?? catalogue[code].sentence, { cause: options.cause });
    this.status = catalogue[code].status;
    this.retryable = catalogue[code].retryable;
  }

  /** Response headers this problem asks for. */
  get headers(): Record<string, string> {
    const { headers = {}, retryAfter } = this.options;
    const seconds = retryAfter ?? (this.status === 503 ? 1 : undefined);
    return seconds === undefined ? headers : { 'Retry-After': String(seconds), ...headers };
  }
}

/** RFC 9457 document. */
export interface ProblemDocument {
  type: string;
  title: string;
  status: number;
  detail: string;
  /** The X-Request-Id under which the log knows this occurrence. */
  instance: string;
  code: ErrorCode;
  errors?: InputError[];
  [extension: string]: unknown;
}

export function problemType(code: ErrorCode): string {
  return `/problems/${code.toLowerCase().replaceAll('_', '-')}`;
}

export function problemDocument(error: ProblemError, instance: string): ProblemDocument {
  const { errors, extensions, detail } = error.options;
  return {
    type: problemType(error.code),
    title: catalogue[error.code].sentence,
    status: error.status,
    detail: detail ?? catalogue[error.code].sentence,
    instance,
    code: error.code,
    ...(errors ? { errors } : {}),
    ...extensions,
  };
}
