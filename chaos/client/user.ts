import { randomUUID } from 'node:crypto';

/** An answer of the API as it came. */
export interface Answer {
  status: number;
  headers: Headers;
  bytes: Buffer;
  /** parsed where the media type says JSON */
  // biome-ignore lint/suspicious/noExplicitAny: bodies of many shapes, looked into by tests
  json: any;
}

export interface SendOptions {
  /** JSON, or, as a Buffer, a FHIR bundle as it is */
  body?: unknown;
  /** Idempotency-Key; one is made for each POST that has none */
  key?: string;
  /** default for POST: wait=30 */
  prefer?: string;
  headers?: Record<string, string>;
  timeoutMs?: number;
}

/** A user of one hospital who talks HTTP and repeats nothing by themself. */
export class User {
  #token: Promise<string> | undefined;

  /** @param base URL of the API, or one for each request where several gateways serve it */
  constructor(
    private readonly base: string | (() => string),
    readonly name: string,
    private readonly password: string,
  ) {}

  token(): Promise<string> {
    if (this.#token === undefined) {
      const token = this.#login();
      this.#token = token;
      token.catch(() => {
        if (this.#token === token) this.#token = undefined;
      });
    }
    return this.#token;
  }

  async get(path: string, options: SendOptions = {}): Promise<Answer> {
    return send('GET', this.#url(path), await this.token(), options);
  }

  async post(path: string, body?: unknown, options: SendOptions = {}): Promise<Answer> {
    const key = options.key ?? randomUUID();
    const prefer = options.prefer ?? 'wait=30';
    return send('POST', this.#url(path), await this.token(), { ...options, key, prefer, body });
  }

  /** Uploads content. @returns its id */
  async upload(bytes: Buffer, key: string = randomUUID()): Promise<string> {
    return expectStatus(await this.post('/v1/contents', bytes, { key }), 201).json.contentId;
  }

  /** Uploads content and opens a record with it. @returns its id */
  async open(patient: string, bytes: Buffer): Promise<string> {
    const contentId = await this.upload(bytes);
    const body = { patient: { identifier: { system: 'urn:e2e:mrn', value: patient } }, contentId };
    const opened = expectStatus(await this.post('/v1/emrs', body), 201);
    return opened.json.recordId;
  }

  /** Asks for a record's content and waits for it. */
  look(recordId: string, options: SendOptions = {}): Promise<Answer> {
    const prefer = 'wait=30, return=representation';
    return this.post(`/v1/emrs/${recordId}/queries`, { purpose: 'TREAT' }, { prefer, ...options });
  }

  /** Asks until `accept` takes the answer. @throws Error with what was seen last */
  async until(path: string, accept: (answer: Answer) => boolean, timeoutMs = 60_000): Promise<Answer> {
    let last: Answer | undefined;
    for (const deadline = Date.now() + timeoutMs; Date.now() < deadline; ) {
      last = await this.get(path);
      if (accept(last)) return last;
      await new Promise((wake) => setTimeout(wake, 200));
    }
    throw new Error(`${path} did not become as expected in ${timeoutMs} ms; last ${last?.status} ${last?.bytes}`);
  }

  #url(path: string): string {
    return `${typeof this.base === 'string' ? this.base : this.base()}${path}`;
  }

  async #login(): Promise<string> {
    const body = { username: this.name, password: this.password };
    const answer = await send('POST', this.#url('/v1/auth/token'), undefined, { body });
    return expectStatus(answer, 200).json.accessToken;
  }
}

export async function send(
  method: string,
  url: string,
  token: string | undefined,
  options: SendOptions = {},
): Promise<Answer> {
  const { body } = options;
  const raw = Buffer.isBuffer(body);
  const response = await fetch(url, {
    method,
    headers: {
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...(options.key === undefined ? {} : { 'idempotency-key': options.key }),
      ...(options.prefer === undefined ? {} : { prefer: options.prefer }),
      ...(body === undefined ? {} : { 'content-type': raw ? 'application/fhir+json' : 'application/json' }),
      ...options.headers,
    },
    ...(body === undefined ? {} : { body: raw ? new Uint8Array(body) : JSON.stringify(body) }),
    signal: AbortSignal.timeout(options.timeoutMs ?? 60_000),
  });
  const bytes = Buffer.from(await response.arrayBuffer());
  const json = /[/+]json/.test(response.headers.get('content-type') ?? '') && bytes.length > 0;
  return {
    status: response.status,
    headers: response.headers,
    bytes,
    json: json ? JSON.parse(String(bytes)) : undefined,
  };
}

/** The answer, when it has one of these statuses. @throws Error with the answer's text otherwise */
export function expectStatus(answer: Answer, ...statuses: number[]): Answer {
  if (statuses.includes(answer.status)) return answer;
  throw new Error(`answered ${answer.status} where ${statuses.join(' or ')} was due: ${answer.bytes.subarray(0, 800)}`);
}
