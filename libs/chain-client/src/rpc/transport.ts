import { HttpTransport } from './http.transport.js';
import { openIpc } from './ipc.socket.js';
import type { RpcOptions, RpcTransport } from './rpc.types.js';
import { StreamTransport } from './stream.transport.js';
import { openWebSocket } from './ws.socket.js';

export type { RpcCall, RpcHead, RpcOptions, RpcOutcome, RpcTransport } from './rpc.types.js';

/**
 * A transport to a node's JSON-RPC endpoint. It connects when first used and again whenever the connection was lost; a request in
 * flight at that moment is rejected as retryable and not repeated, as its outcome is unknown.
 * @param url path of an IPC socket, or http(s):// or ws(s)://
 */
export function connectRpc(url: string, options: RpcOptions = {}): RpcTransport {
  if (/^https?:\/\//i.test(url)) return new HttpTransport(url, options);
  if (/^wss?:\/\//i.test(url)) return new StreamTransport((handlers) => openWebSocket(url, handlers), options);
  return new StreamTransport((handlers) => openIpc(url, handlers, { batchesApart: true }), options);
}
