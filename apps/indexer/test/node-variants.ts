import { RpcError } from '../../../libs/chain-client/src/rpc/rpc.error.js';
import type { RpcCall, RpcOutcome, RpcTransport } from '../../../libs/chain-client/src/rpc/transport.js';

type BatchSettled = RpcTransport['batchSettled'];

/** The node behind `rpc`, which stays open, with another way of answering batches. */
function over(rpc: RpcTransport, batchSettled: BatchSettled): RpcTransport {
  const { request, batch, subscribe } = rpc;
  return {
    ...{ request: request.bind(rpc), batch: batch.bind(rpc), subscribe: subscribe.bind(rpc), batchSettled },
    close: async () => undefined,
  };
}

function failing(method: string, code: number): RpcOutcome<never> {
  return { error: new RpcError(`no ${method}`, { code, method, retryable: false }) };
}

/** A node without the methods whose name begins with `refused`. */
export function lacking(rpc: RpcTransport, refused: string): RpcTransport {
  return over(rpc, async (calls) =>
    calls.some(({ method }) => method.startsWith(refused))
      ? calls.map(({ method }) => failing(method, -32_601))
      : rpc.batchSettled(calls),
  );
}

/** @param answered how often each method was answered in batches, and not by an error */
export function counting(rpc: RpcTransport, answered: Map<string, number>): RpcTransport {
  return over(rpc, async <T>(calls: readonly RpcCall[]) => {
    const outcomes = await rpc.batchSettled<T>(calls);
    for (const [index, { method }] of calls.entries()) {
      if (!outcomes[index]?.error) answered.set(method, (answered.get(method) ?? 0) + 1);
    }
    return outcomes;
  });
}

/** A node that has moved all blocks below `border` out of its database into files, as geth does 90,000 blocks behind its head. */
export function filing(rpc: RpcTransport, border: bigint): RpcTransport {
  const hashKey = (number: bigint) => `0x68${place(number)}6e`;
  const inDatabase = async (call: RpcCall): Promise<RpcCall> => {
    if (call.method !== 'debug_dbAncient') return call;
    const [table, given] = call.params as [string, number];
    const number = BigInt(given);
    const prefix = { headers: '68', bodies: '62', receipts: '72' }[table];
    const hash = await rpc.request<string>('debug_dbGet', [hashKey(number)]);
    const key = prefix === undefined ? hashKey(number) : `0x${prefix}${place(number)}${hash.slice(2)}`;
    return { ...call, method: 'debug_dbGet', params: [key] };
  };
  const has = ({ method, params }: RpcCall) => {
    const [first, second] = params as [string, number];
    if (method === 'debug_dbAncient') return BigInt(second) < border;
    return method !== 'debug_dbGet' || BigInt(`0x${first.slice(4, 20)}`) >= border;
  };
  return over(rpc, async <T>(calls: readonly RpcCall[]) => {
    const outcomes = await rpc.batchSettled<T>(await Promise.all(calls.map(inDatabase)));
    return calls.map((call, index) => (has(call) ? (outcomes[index] as RpcOutcome<T>) : failing(call.method, -32_000)));
  });
}

function place(number: bigint): string {
  return number.toString(16).padStart(16, '0');
}
