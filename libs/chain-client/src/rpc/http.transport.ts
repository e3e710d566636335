import { Agent as HttpAgent, request as httpRequest } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { type EncodedCall, encodeCall, outcomeOf, type RpcResponse, splitBatch, valuesOf } from './batch.js';
import { RpcError } from './rpc.error.js';
import {
  DEFAULT_POLL_MS,
  DEFAULT_TIMEOUT_MS,
  type RpcCall,
  type RpcHead,
  type RpcOptions,
  type RpcOutcome,
  type RpcTransport,
  type Subscription,
} from './rpc.types.js';

const MAX_SOCKETS = 8;

/** JSON-RPC over HTTP with connections kept open. */
export class HttpTransport implements RpcTransport {
  private readonly timeoutMs: number;
  private readonly pollMs: number;
  private readonly url: URL;
  private readonly agent: HttpAgent;
  private readonly polls = new Set<Subscription>();
  private nextId = 1;
  private closed = false;

  constructor(url: string, options: RpcOptions) {
    this.url = new URL(url);
    this.timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
    this.pollMs = options.pollMs ?? DEFAULT_POLL_MS;
    const agentOptions = { keepAlive: true, maxSockets: MAX_SOCKETS };
    this.agent = this.url.protocol === 'https:' ? new HttpsAgent(agentOptions) : new HttpAgent(agentOptions);
  }

  async request<T>(method: string, params?: readonly unknown[]): Promise<T> {
    const call = encodeCall(this.nextId++, { method, params });
    const response = (await this.post(call.text, method)) as RpcResponse;
    return valuesOf([outcomeOf<T>(response, call)])[0]!;
  }

  async batch<T>(calls: readonly RpcCall[]): Promise<T[]> {
    return valuesOf(await this.batchSettled<T>(calls));
  }

  async batchSettled<T>(calls: readonly RpcCall[]): Promise<RpcOutcome<T>[]> {
    const outcomes: RpcOutcome<T>[] = [];
    for (const part of splitBatch(calls.map((call) => encodeCall(this.nextId++, call)))) {
      outcomes.push(...(await this.exchange<T>(part)));
    }
    return outcomes;
  }

  async subscribe(_kind: 'newHeads', onItem: (head: RpcHead) => void, onReconnect?: () => void): Promise<Subscription> {
    let last = (await this.request<RpcHead>('eth_getBlockByNumber', ['latest', false])).hash;
    let stopped = false;
    let failed = false;
    let timer: NodeJS.Timeout;
    const poll = async () => {
      try {
        const head = await this.request<RpcHead>('eth_getBlockByNumber', ['latest', false]);
        if (stopped) return;
        if (failed) onReconnect?.();
        failed = false;
        if (head.hash !== last) onItem(head);
        last = head.hash;
      } catch {
        failed = true;
      }
      if (!stopped) timer = setTimeout(() => void poll(), this.pollMs);
    };
    timer = setTimeout(() => void poll(), this.pollMs);
    const subscription: Subscription = {
      close: async () => {
        stopped = true;
        clearTimeout(timer);
        this.polls.delete(subscription);
      },
    };
    this.polls.add(subscription);
    return subscription;
  }

  async close(): Promise<void> {
    this.closed = true;
    await Promise.all([...this.polls].map((poll) => poll.close()));
    this.agent.destroy();
  }

  private async exchange<T>(calls: EncodedCall[]): Promise<RpcOutcome<T>[]> {
    const method = calls[0]!.method;
    try {
      const answer = await this.post(`[${calls.map(({ text }) => text).join(',')}]`, method);
      const responses = (Array.isArray(answer) ? answer : [answer]) as RpcResponse[];
      const byId = new Map(responses.map((response) => [response.id, response]));
      // An endpoint that refuses the batch as a whole answers with one error that belongs to no call.
      const refusal = responses.find(({ id, error }) => error !== undefined && (id === null || id === undefined));
      return calls.map((call) => {
        const response = byId.get(call.id) ?? refusal;
        if (response !== undefined) return outcomeOf<T>(response, call);
        return { error: malformed(call.method, 'The node left a call of the batch unanswered.') };
      });
    } catch (error) {
      return calls.map(() => ({ error: error as RpcError }));
    }
  }

  private post(body: string, method: string): Promise<unknown> {
    if (this.closed) throw new RpcError('The transport was closed.', { code: 'CLOSED', method, retryable: false });
    const send = this.url.protocol === 'https:' ? httpsRequest : httpRequest;
    return new Promise((resolve, reject) => {
      const payload = Buffer.from(body);
      const fail = (message: string, code: RpcError['code'], retryable: boolean, cause?: unknown) => {
        clearTimeout(timer);
        reject(new RpcError(message, { code, method, retryable, cause }));
      };
      const headers = { 'content-type': 'application/json', 'content-length': payload.length };
      const outgoing = send(this.url, { method: 'POST', agent: this.agent, headers }, (incoming) => {
        const chunks: Buffer[] = [];
        incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
        incoming.on('error', (error) => fail('The answer broke off.', 'CONNECTION', true, error));
        incoming.on('end', () => {
          clearTimeout(timer);
          const status = incoming.statusCode ?? 0;
          if (status !== 200) {
            const passing = status >= 500 || status === 429 || status === 408;
            return fail(`The node answered with HTTP status ${status}.`, 'HTTP_STATUS', passing);
          }
          try {
            resolve(JSON.parse(Buffer.concat(chunks).toString('utf8')));
          } catch (error) {
            fail('The node answered with something that is not JSON.', 'MALFORMED', true, error);
          }
        });
      });
      const timer = setTimeout(() => {
        fail(`The node did not answer ${method} within ${this.timeoutMs} ms.`, 'TIMEOUT', true);
        outgoing.destroy();
      }, this.timeoutMs);
      outgoing.on('error', (error) => fail(`No connection to the node: ${error.message}`, 'CONNECTION', true, error));
      outgoing.end(payload);
    });
  }
}

function malformed(method: string, message: string): RpcError {
  return new RpcError(message, { code: 'MALFORMED', method, retryable: true });
}
