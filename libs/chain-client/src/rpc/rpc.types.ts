import type { RpcError } from './rpc.error.js';

export interface RpcCall {
  method: string;
  params?: readonly unknown[];
  /**
   * Makes the value out of the result as soon as that is here, so that the text of a large answer isn't kept until the whole batch has
   * come. Must not throw.
   */
  decode?: (result: unknown) => unknown;
}

export type RpcOutcome<T> = { value: T; error?: undefined } | { value?: undefined; error: RpcError };

export interface Subscription {
  close(): Promise<void>;
}

export interface RpcTransport {
  /** @throws RpcError */
  request<T>(method: string, params?: readonly unknown[]): Promise<T>;
  /** Results in the order of the calls, which the node also carries out in that order. @throws RpcError the first call's that failed */
  batch<T>(calls: readonly RpcCall[]): Promise<T[]>;
  /** As `batch`, with each call's own outcome; never rejects. */
  batchSettled<T>(calls: readonly RpcCall[]): Promise<RpcOutcome<T>[]>;
  /**
   * Each new head of the chain as the node's JSON. Survives lost connections: `onReconnect` then says that heads may have been missed.
   * Over HTTP the head is polled, so heads in between are skipped.
   */
  subscribe(kind: 'newHeads', onItem: (head: RpcHead) => void, onReconnect?: () => void): Promise<Subscription>;
  close(): Promise<void>;
}

/** The fields of a newHeads item that everybody needs; the node gives more. */
export interface RpcHead {
  number: string;
  hash: string;
  parentHash: string;
  [field: string]: unknown;
}

export interface RpcOptions {
  /** How long to wait for an answer, default 10,000 ms. */
  timeoutMs?: number;
  /** How often to look for a new head where the node can't push it (HTTP), default 250 ms. */
  pollMs?: number;
}

export const DEFAULT_TIMEOUT_MS = 10_000;
export const DEFAULT_POLL_MS = 250;
