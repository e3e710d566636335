import { type EncodedCall, encodeCall, outcomeOf, type RpcResponse, splitBatch, valuesOf } from './batch.js';
import type { MessageHandlers, MessageSocket } from './ipc.socket.js';
import { RpcError } from './rpc.error.js';
import {
  DEFAULT_TIMEOUT_MS,
  type RpcCall,
  type RpcHead,
  type RpcOptions,
  type RpcOutcome,
  type RpcTransport,
  type Subscription,
} from './rpc.types.js';

interface Pending {
  call: EncodedCall;
  timer: NodeJS.Timeout;
  socket: MessageSocket;
  settle(outcome: RpcOutcome<unknown>): void;
}

interface LiveSubscription {
  kind: string;
  onItem(head: RpcHead): void;
  onReconnect?: () => void;
  /** The node's name for it on the present connection. */
  id?: string;
  closed: boolean;
}

const RECONNECT_FIRST_MS = 50;
const RECONNECT_LONGEST_MS = 2_000;

/** JSON-RPC over one lasting connection (IPC or WebSocket): requests are pipelined and answered in any order, heads are pushed. */
export class StreamTransport implements RpcTransport {
  private readonly timeoutMs: number;
  private readonly pending = new Map<number, Pending>();
  private readonly subscriptions = new Set<LiveSubscription>();
  private opening: Promise<MessageSocket> | undefined;
  private socket: MessageSocket | undefined;
  private reconnectTimer: NodeJS.Timeout | undefined;
  private reconnectDelay = RECONNECT_FIRST_MS;
  private nextId = 1;
  private closed = false;

  constructor(
    private readonly open: (handlers: MessageHandlers) => Promise<MessageSocket>,
    options: RpcOptions,
  ) {
    this.timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
  }

  async request<T>(method: string, params?: readonly unknown[]): Promise<T> {
    const [outcome] = await this.exchange<T>(
      [encodeCall(this.nextId++, { method, params })],
      (calls) => calls[0]!.text,
    );
    return valuesOf([outcome!])[0]!;
  }

  async batch<T>(calls: readonly RpcCall[]): Promise<T[]> {
    return valuesOf(await this.batchSettled<T>(calls));
  }

  async batchSettled<T>(calls: readonly RpcCall[]): Promise<RpcOutcome<T>[]> {
    const outcomes: RpcOutcome<T>[] = [];
    for (const part of splitBatch(calls.map((call) => encodeCall(this.nextId++, call)))) {
      outcomes.push(...(await this.exchange<T>(part, (encoded) => `[${encoded.map(({ text }) => text).join(',')}]`)));
    }
    return outcomes;
  }

  async subscribe(kind: 'newHeads', onItem: (head: RpcHead) => void, onReconnect?: () => void): Promise<Subscription> {
    const subscription: LiveSubscription = { kind, onItem, onReconnect, closed: false };
    await this.register(subscription);
    this.subscriptions.add(subscription);
    return {
      close: async () => {
        subscription.closed = true;
        this.subscriptions.delete(subscription);
        if (this.socket === undefined || subscription.id === undefined) return;
        await this.request('eth_unsubscribe', [subscription.id]).catch(() => undefined);
      },
    };
  }

  async close(): Promise<void> {
    this.closed = true;
    clearTimeout(this.reconnectTimer);
    this.subscriptions.clear();
    const socket = this.socket ?? (await this.opening?.catch(() => undefined));
    socket?.close();
    this.failAll(new RpcError('The transport was closed.', { code: 'CLOSED', retryable: false }));
  }

  private async exchange<T>(calls: EncodedCall[], format: (calls: EncodedCall[]) => string): Promise<RpcOutcome<T>[]> {
    let socket: MessageSocket;
    try {
      socket = await this.connected();
    } catch (error) {
      const failure = asConnectionError(error);
      return calls.map(() => ({ error: failure }));
    }
    const outcomes = calls.map((call) => this.expect<T>(socket, call));
    socket.send(format(calls));
    return Promise.all(outcomes);
  }

  private expect<T>(socket: MessageSocket, call: EncodedCall): Promise<RpcOutcome<T>> {
    const { id, method } = call;
    return new Promise((resolve) => {
      const settle = (outcome: RpcOutcome<unknown>) => {
        clearTimeout(pending.timer);
        this.pending.delete(id);
        resolve(outcome as RpcOutcome<T>);
      };
      const timer = setTimeout(() => {
        const message = `The node did not answer ${method} within ${this.timeoutMs} ms.`;
        settle({ error: new RpcError(message, { code: 'TIMEOUT', method, retryable: true }) });
      }, this.timeoutMs);
      const pending: Pending = { call, timer, socket, settle };
      this.pending.set(id, pending);
    });
  }

  private connected(): Promise<MessageSocket> {
    if (this.closed) {
      return Promise.reject(new RpcError('The transport was closed.', { code: 'CLOSED', retryable: false }));
    }
    if (this.socket !== undefined) return Promise.resolve(this.socket);
    this.opening ??= this.connect().finally(() => {
      this.opening = undefined;
    });
    return this.opening;
  }

  private async connect(): Promise<MessageSocket> {
    let opened: MessageSocket | undefined;
    let lost = false;
    const socket = await this.open({
      onMessage: (text) => this.receive(text),
      onClose: (reason) => {
        lost = true;
        if (opened !== undefined) this.onLost(opened, reason);
      },
    });
    opened = socket;
    if (lost) throw new RpcError('The connection was lost.', { code: 'CONNECTION', retryable: true });
    if (this.closed) socket.close();
    this.socket = socket;
    this.reconnectDelay = RECONNECT_FIRST_MS;
    return socket;
  }

  private onLost(socket: MessageSocket, reason: Error | undefined): void {
    if (this.socket === socket) this.socket = undefined;
    const error = new RpcError('The connection to the node was lost.', {
      code: 'CONNECTION',
      retryable: true,
      cause: reason,
    });
    for (const pending of [...this.pending.values()]) if (pending.socket === socket) pending.settle({ error });
    for (const subscription of this.subscriptions) subscription.id = undefined;
    if (this.subscriptions.size > 0) this.resubscribeLater();
  }

  private resubscribeLater(): void {
    if (this.closed) return;
    clearTimeout(this.reconnectTimer);
    this.reconnectTimer = setTimeout(() => void this.resubscribe(), this.reconnectDelay);
    this.reconnectDelay = Math.min(this.reconnectDelay * 2, RECONNECT_LONGEST_MS);
  }

  private async resubscribe(): Promise<void> {
    for (const subscription of [...this.subscriptions]) {
      if (subscription.id !== undefined) continue;
      try {
        await this.register(subscription);
        subscription.onReconnect?.();
      } catch {
        return this.resubscribeLater();
      }
    }
  }

  // The id must be known before the next message is looked at, as the first head may come in the same packet as the answer.
  private async register(subscription: LiveSubscription): Promise<void> {
    const call = encodeCall(this.nextId++, { method: 'eth_subscribe', params: [subscription.kind] });
    const socket = await this.connected().catch((error: unknown) => {
      throw asConnectionError(error);
    });
    const answer = this.expect<string>(socket, call);
    const pending = this.pending.get(call.id)!;
    const settle = pending.settle;
    pending.settle = (outcome) => {
      if (outcome.error === undefined && !subscription.closed) {
        subscription.id = outcome.value as string;
        this.subscriptions.add(subscription);
      }
      settle(outcome);
    };
    socket.send(call.text);
    valuesOf([await answer]);
  }

  private receive(text: string): void {
    let message: RpcResponse | RpcResponse[];
    try {
      message = JSON.parse(text) as RpcResponse | RpcResponse[];
    } catch {
      return; // not an answer to anything; whoever waits runs into the timeout
    }
    for (const response of Array.isArray(message) ? message : [message]) this.dispatch(response);
  }

  private dispatch(response: RpcResponse): void {
    if (response.method === 'eth_subscription') {
      const id = response.params?.subscription;
      for (const subscription of this.subscriptions) {
        if (subscription.id === id) subscription.onItem(response.params?.result as RpcHead);
      }
      return;
    }
    const pending = typeof response.id === 'number' ? this.pending.get(response.id) : undefined;
    pending?.settle(outcomeOf(response, pending.call));
  }

  private failAll(error: RpcError): void {
    for (const pending of [...this.pending.values()]) pending.settle({ error });
  }
}

function asConnectionError(error: unknown): RpcError {
  if (error instanceof RpcError) return error;
  const reason = error instanceof Error ? error.message : String(error);
  return new RpcError(`No connection to the node: ${reason}`, { code: 'CONNECTION', retryable: true, cause: error });
}
