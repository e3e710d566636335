import { RpcError } from './rpc.error.js';
import type { RpcCall, RpcOutcome } from './rpc.types.js';

// geth takes 1,000 calls and 5 MiB in one request; other endpoints less.
const MAX_CALLS = 500;
const MAX_BYTES = 4 * 1024 * 1024;

export interface EncodedCall extends Pick<RpcCall, 'method' | 'decode'> {
  id: number;
  text: string;
}

export function encodeCall(id: number, { method, params = [], decode }: RpcCall): EncodedCall {
  return { id, method, decode, text: JSON.stringify({ jsonrpc: '2.0', id, method, params }) };
}

/** Splits calls into requests an endpoint accepts, keeping their order. */
export function splitBatch(calls: readonly EncodedCall[]): EncodedCall[][] {
  const batches: EncodedCall[][] = [];
  let current: EncodedCall[] = [];
  let bytes = 0;
  for (const call of calls) {
    if (current.length > 0 && (current.length === MAX_CALLS || bytes + call.text.length > MAX_BYTES)) {
      batches.push(current);
      current = [];
      bytes = 0;
    }
    current.push(call);
    bytes += call.text.length + 1;
  }
  if (current.length > 0) batches.push(current);
  return batches;
}

/** The values of a batch in which nothing failed. @throws RpcError the first failure */
export function valuesOf<T>(outcomes: readonly RpcOutcome<T>[]): T[] {
  return outcomes.map((outcome) => {
    if (outcome.error !== undefined) throw outcome.error;
    return outcome.value;
  });
}

export interface RpcResponse {
  id?: number | null;
  result?: unknown;
  error?: { code?: unknown; message?: unknown; data?: unknown };
  method?: string;
  params?: { subscription?: string; result?: unknown };
}

export function outcomeOf<T>(
  { result, error }: RpcResponse,
  { method, decode }: Pick<RpcCall, 'method' | 'decode'>,
): RpcOutcome<T> {
  if (error !== undefined && error !== null) return { error: RpcError.fromResponse(error, method) };
  return { value: (decode ? decode(result) : result) as T };
}
