import { performance } from 'node:perf_hooks';

/** An answer of the API: JSON parsed, everything else as bytes. */
export interface Answer {
  status: number;
  headers: Headers;
  /** what a caller may rely on is checked where it is read */
  // biome-ignore lint/suspicious/noExplicitAny: a client knows the document, not the server's types
  json: any;
  bytes: Buffer;
}

export interface Call {
  method?: 'GET' | 'POST';
  path: string;
  /** Idempotency-Key */
  key?: string;
  prefer?: string;
  /** sent as JSON, or, as a Buffer, as it is */
  body?: unknown;
  contentType?: string;
  /** where the time this took is counted */
  label?: string;
}

/** What went otherwise than it should, with enough to find it in the logs. */
export class DemoFailure extends Error {}

/** Milliseconds by label. */
export class Latencies {
  readonly #samples = new Map<string, number[]>();

  add(label: string, milliseconds: number): void {
    const samples = this.#samples.get(label) ?? [];
    samples.push(milliseconds);
    this.#samples.set(label, samples);
  }

  /** @returns per label: how many, and the 50th and 95th percentile */
  summary(): { label: string; count: number; p50: number; p95: number }[] {
    return [...this.#samples].map(([label, samples]) => {
      const sorted = samples.toSorted((a, b) => a - b);
      const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)] ?? 0;
      return { label, count: sorted.length, p50: at(0.5), p95: at(0.95) };
    });
  }
}

const TRIES = 6;

/** One user of one hospital, as that hospital's own system would call the API: HTTP and a token, nothing else. */
export class Session {
  #token = '';

  constructor(
    readonly base: string,
    readonly username: string,
    private readonly password: string,
    private readonly latencies: Latencies,
    private readonly signal: AbortSignal,
  ) {}

  /** Calls and returns whatever came. Waits and repeats when the API says it is busy: same key, so nothing happens twice. */
  async call(call: Call): Promise<Answer> {
    for (let attempt = 1; ; attempt += 1) {
      if (this.#token === '') await this.#login();
      const answer = await this.#send(call, this.#token);
      if (answer.status === 401 && attempt < TRIES) {
        this.#token = '';
        continue;
      }
      if ((answer.status === 429 || answer.status === 503) && attempt < TRIES) {
        await this.#pause(1000 * Math.min(Number(answer.headers.get('retry-after')) || 1, 10));
        continue;
      }
      return answer;
    }
  }

  /** As `call`, when only these statuses are right. @throws DemoFailure with the problem the API gave */
  async expect(statuses: number[], call: Call): Promise<Answer> {
    const answer = await this.call(call);
    if (statuses.includes(answer.status)) return answer;
    const problem = answer.json ? `${answer.json.code ?? ''} ${answer.json.detail ?? answer.json.title ?? ''}` : '';
    throw new DemoFailure(
      `${this.username}: ${call.method ?? 'GET'} ${this.base}${call.path} answered ${answer.status} ${problem.trim()} where ${statuses.join(' or ')} was due (request ${answer.headers.get('x-request-id')})`,
    );
  }

  /** Asks again and again until `accept` takes the answer. @throws DemoFailure with what was last seen */
  async until(call: Call, what: string, accept: (answer: Answer) => boolean, timeoutMs = 90_000): Promise<Answer> {
    let last: Answer | undefined;
    for (const deadline = Date.now() + timeoutMs; Date.now() < deadline; ) {
      last = await this.call(call);
      if (accept(last)) return last;
      await this.#pause(200);
    }
    const seen = last?.json ? JSON.stringify(last.json).slice(0, 600) : '';
    throw new DemoFailure(
      `${this.username}: waited ${timeoutMs / 1000} s for ${what}; last seen ${last?.status} ${seen}`,
    );
  }

  async #login(): Promise<void> {
    const body = { username: this.username, password: this.password };
    for (let attempt = 1; ; attempt += 1) {
      const answer = await this.#send({ method: 'POST', path: '/v1/auth/token', body });
      if (answer.status === 200) {
        this.#token = answer.json.accessToken;
        return;
      }
      if (answer.status !== 429 || attempt === TRIES) {
        throw new DemoFailure(
          `${this.username} could not log in at ${this.base}: ${answer.status} ${answer.json?.code ?? ''}`,
        );
      }
      await this.#pause(1000 * (Number(answer.headers.get('retry-after')) || 1));
    }
  }

  async #send(call: Call, token?: string): Promise<Answer> {
    const headers: Record<string, string> = { accept: '*/*' };
    if (token) headers.authorization = `Bearer ${token}`;
    if (call.key) headers['idempotency-key'] = call.key;
    if (call.prefer) headers.prefer = call.prefer;
    const raw = Buffer.isBuffer(call.body);
    if (call.body !== undefined) headers['content-type'] = call.contentType ?? 'application/json';
    const began = performance.now();
    const response = await fetch(`${this.base}${call.path}`, {
      method: call.method ?? 'GET',
      headers,
      body: call.body === undefined ? undefined : raw ? new Uint8Array(call.body as Buffer) : JSON.stringify(call.body),
      signal: AbortSignal.any([this.signal, AbortSignal.timeout(60_000)]),
    });
    const bytes = Buffer.from(await response.arrayBuffer());
    if (call.label && response.ok) this.latencies.add(call.label, performance.now() - began);
    const json = /[/+]json/.test(response.headers.get('content-type') ?? '') ? parsed(bytes) : undefined;
    return { status: response.status, headers: response.headers, json, bytes };
  }

  async #pause(milliseconds: number): Promise<void> {
    await new Promise((wake) => setTimeout(wake, milliseconds));
    this.signal.throwIfAborted();
  }
}

function parsed(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch {
    return undefined;
  }
}
