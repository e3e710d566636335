import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { type WebSocket, WebSocketServer } from 'ws';
import { type MessageSocket, openIpc } from '../../libs/chain-client/src/rpc/ipc.socket.js';

/** A node's JSON-RPC on a port of 127.0.0.1, over HTTP and WebSocket alike. */
export interface RpcGate {
  port: number;
  /** http://127.0.0.1:PORT */
  httpUrl: string;
  /** ws://127.0.0.1:PORT */
  wsUrl: string;
  close(): Promise<void>;
}

/** What asks and sends signed bytes. Nothing that signs with the node's key, steers it, or says which keys it has. */
const OFFERED = new RegExp(
  [
    '^net_(version|listening|peerCount)$',
    '^web3_(clientVersion|sha3)$',
    '^debug_getRaw(Block|Header|Receipts|Transaction)$',
    '^clique_(getSigners|getSignersAtHash|getSigner|status)$',
    '^eth_(call|estimateGas|createAccessList|gasPrice|maxPriorityFeePerGas|feeHistory|blockNumber|chainId|syncing|mining|hashrate)$',
    '^eth_(sendRawTransaction|subscribe|unsubscribe|newFilter|newBlockFilter|newPendingTransactionFilter|uninstallFilter)$',
    '^eth_get(?!Work$)[A-Za-z]+$',
  ].join('|'),
);
const MOST_BYTES = 16 * 1024 * 1024;

/** Whether the gate passes this method on. */
export const isOffered = (method: unknown): boolean => typeof method === 'string' && OFFERED.test(method);

/**
 * Opens a node's socket to programs that speak HTTP or WebSocket alone. geth's own ports stay shut: they can't tell a question from
 * "sign this with the sealer's key". Pages in a browser are turned away (Origin), and names that only pretend to be this machine (Host).
 * @param ipcPath the node's socket; it may come and go
 * @param port 0: any free one
 */
export async function openRpcGate(ipcPath: string, port: number): Promise<RpcGate> {
  const open = new Set<Socket>();
  const server = createServer((request, response) => {
    answer(ipcPath, request, response).catch((error: Error) => {
      if (response.headersSent) return void response.destroy();
      response.writeHead(502, { 'content-type': 'application/json' });
      response.end(JSON.stringify(problem(null, -32603, `the node did not answer: ${error.message}`)));
    });
  });
  const sockets = new WebSocketServer({ noServer: true, maxPayload: MOST_BYTES, perMessageDeflate: false });
  server.on('connection', (socket: Socket) => {
    open.add(socket);
    socket.once('close', () => open.delete(socket));
  });
  server.on('upgrade', (request: IncomingMessage, socket: Socket, head: Buffer) => {
    socket.on('error', () => socket.destroy());
    if (!isOurs(request)) return socket.end('HTTP/1.1 403 Forbidden\r\n\r\n');
    sockets.handleUpgrade(request, socket, head, (client) => void relay(ipcPath, client));
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ port, host: '127.0.0.1', exclusive: true }, resolve);
  });
  const taken = (server.address() as AddressInfo).port;
  return {
    port: taken,
    httpUrl: `http://127.0.0.1:${taken}`,
    wsUrl: `ws://127.0.0.1:${taken}`,
    close: async () => {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of open) socket.destroy();
      await closed;
    },
  };
}

function isOurs({ headers }: IncomingMessage): boolean {
  return headers.origin === undefined && /^(127\.0\.0\.1|localhost)(:\d+)?$/.test(headers.host ?? '');
}

/** One message over a connection of its own. */
async function answer(ipcPath: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const reply = (status: number, body: string) => {
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(body);
  };
  if (!isOurs(request)) return reply(403, JSON.stringify(problem(null, -32600, 'not from a page or another host')));
  if (request.method !== 'POST') return reply(405, JSON.stringify(problem(null, -32600, 'POST a JSON-RPC message')));
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > MOST_BYTES) return reply(413, JSON.stringify(problem(null, -32600, `more than ${MOST_BYTES} bytes`)));
    chunks.push(chunk);
  }
  const text = Buffer.concat(chunks).toString('utf8');
  const refused = refusal(text);
  if (refused !== undefined) return reply(200, refused);
  const answered = await new Promise<string>((resolve, reject) => {
    let node: MessageSocket | undefined;
    const onClose = (reason?: Error) => reject(reason ?? new Error('it closed the connection'));
    const onMessage = (message: string) => {
      resolve(message);
      node?.close();
    };
    openIpc(ipcPath, { onMessage, onClose }).then((socket) => {
      node = socket;
      socket.send(text);
    }, reject);
  });
  reply(200, answered);
}

/** A lasting connection, with its subscriptions; either end's closing closes the other. */
async function relay(ipcPath: string, client: WebSocket): Promise<void> {
  const early: string[] = [];
  let node: MessageSocket | undefined;
  client.on('error', () => client.terminate());
  client.on('close', () => node?.close());
  client.on('message', (data) => {
    const text = data.toString();
    const refused = refusal(text);
    if (refused !== undefined) client.send(refused);
    else if (node) node.send(text);
    else early.push(text);
  });
  try {
    node = await openIpc(ipcPath, { onMessage: (text) => client.send(text), onClose: () => client.close(1011) });
    for (const text of early) node.send(text);
    if (client.readyState !== client.OPEN) node.close();
  } catch {
    client.close(1011, 'the node is away');
  }
}

/** The answer to a message that isn't passed on; undefined for one that is. */
function refusal(text: string): string | undefined {
  let message: unknown;
  try {
    message = JSON.parse(text);
  } catch {
    return JSON.stringify(problem(null, -32700, 'not JSON'));
  }
  const calls = (Array.isArray(message) ? message : [message]) as { id?: unknown; method?: unknown }[];
  if (calls.length > 0 && calls.every((call) => isOffered(call?.method))) return undefined;
  const answers = calls.map((call) =>
    problem(
      call?.id ?? null,
      -32601,
      `the method ${String(call?.method)} is not offered on this port, or stands beside one that isn't`,
    ),
  );
  return JSON.stringify(Array.isArray(message) ? answers : answers[0]);
}

const problem = (id: unknown, code: number, message: string) => ({ jsonrpc: '2.0', id, error: { code, message } });
