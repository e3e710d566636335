import { rm } from 'node:fs/promises';
import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { JsonFramer } from '../../libs/chain-client/src/rpc/json-framer.js';
import { toHex } from '../../libs/platform/src/bytes.js';
import { keccak256 } from '../../libs/platform/src/keccak.js';
import { type Fate, type Message, messageOf } from './fates.js';

/** Says what becomes of a message; asked once for each. */
export type Decide = (message: Message, front: string) => Fate;

/** Stands between gateways or indexer and their node: passes JSON-RPC on, or does to it what it is told. */
export interface RpcProxy {
  /** a socket to be used as the node's; `name` is handed to `decide` */
  listenIpc(name: string, path: string): Promise<void>;
  listenHttp(name: string, port: number): Promise<void>;
  decide: Decide;
  close(): Promise<void>;
}

const PASS: Fate = { kind: 'pass' };
const GARBAGE = '<html><body>upstream connect error</body></html>';

/** @param upstream path of the node's socket; it may come and go */
export function createProxy(upstream: string): RpcProxy {
  const servers: { close(): Promise<void> }[] = [];
  const proxy: RpcProxy = {
    decide: () => PASS,
    async listenIpc(name, path) {
      await rm(path, { force: true });
      const sockets = new Set<Socket>();
      const server = createServer((client) => {
        sockets.add(client);
        client.once('close', () => sockets.delete(client));
        relay(client, upstream, (message) => proxy.decide(message, name));
      });
      await listening(server, path);
      servers.push(closing(server, sockets));
    },
    async listenHttp(name, port) {
      const sockets = new Set<Socket>();
      const server = createHttpServer((request, response) => {
        void answer(request, response, upstream, (message) => proxy.decide(message, name)).catch(() =>
          response.destroy(),
        );
      });
      server.on('connection', (socket: Socket) => {
        sockets.add(socket);
        socket.once('close', () => sockets.delete(socket));
      });
      await listening(server, port);
      servers.push(closing(server, sockets));
    },
    async close() {
      await Promise.all(servers.map((server) => server.close()));
    },
  };
  return proxy;
}

/** One lasting connection, as a node's socket would be. */
function relay(client: Socket, upstream: string, decide: (message: Message) => Fate): void {
  const node = connect(upstream);
  /** ids of calls whose answer must not arrive, with what happens instead */
  const withheld = new Map<unknown, 'cut' | 'nothing'>();
  const end = () => {
    client.destroy();
    node.destroy();
  };
  for (const socket of [client, node]) socket.on('error', end).on('close', end);

  const toNode = new JsonFramer();
  client.on('data', (chunk: Buffer) => {
    for (const value of toNode.push(chunk)) void carry(value.toString('utf8'));
  });
  const toClient = new JsonFramer();
  node.on('data', (chunk: Buffer) => {
    for (const value of toClient.push(chunk)) {
      const how = withheld.size === 0 ? undefined : takeWithheld(value.toString('utf8'), withheld);
      if (how === undefined) client.write(value);
      else if (how === 'cut') end();
    }
  });

  const carry = async (text: string) => {
    const message = messageOf(text, 'ipc');
    const fate = decide(message);
    const answerIds = message.calls.map(({ id }) => id);
    switch (fate.kind) {
      case 'drop':
        return;
      case 'cut':
        return end();
      case 'delay':
        await sleep(fate.ms);
        return void node.write(text);
      case 'duplicate':
        node.write(text);
        return void node.write(text);
      case 'lose-answer':
        withheld.set(answerIds[0], 'cut');
        return void node.write(text);
      case 'silence':
        withheld.set(answerIds[0], 'nothing');
        return void node.write(text);
      case 'swallow':
      case 'refuse':
        return void client.write(JSON.stringify(madeUp(message, fate.kind)));
      case 'status':
        return void client.write(JSON.stringify(failing(message, fate.status)));
      case 'garbage':
        client.write(`{ ${GARBAGE} }`);
        return void node.write(text);
      case 'pass':
        return void node.write(text);
      default:
        fate satisfies never;
    }
  };
}

/** A message over HTTP: each has a connection of its own to the node. */
async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  upstream: string,
  decide: (message: Message) => Fate,
): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const text = Buffer.concat(chunks).toString('utf8');
  const message = messageOf(text, 'http');
  const fate = decide(message);
  const reply = (status: number, body: string) =>
    void response.writeHead(status, { 'content-type': 'application/json' }).end(body);
  switch (fate.kind) {
    case 'drop':
      return;
    case 'cut':
      return void response.destroy();
    case 'delay':
      await sleep(fate.ms);
      break;
    case 'duplicate':
      await ask(upstream, text);
      break;
    case 'lose-answer':
      await ask(upstream, text);
      return void response.destroy();
    case 'silence':
      await ask(upstream, text);
      return;
    case 'swallow':
    case 'refuse':
      return reply(200, JSON.stringify(madeUp(message, fate.kind)));
    case 'status':
      return reply(fate.status, `{"error":"${fate.status}"}`);
    case 'garbage':
      return reply(200, GARBAGE);
    case 'pass':
      break;
    default:
      fate satisfies never;
  }
  reply(200, await ask(upstream, text));
}

function ask(upstream: string, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const framer = new JsonFramer();
    const node = connect(upstream);
    node.setTimeout(30_000, () => node.destroy(new Error('no answer')));
    node.on('error', reject).on('close', () => reject(new Error('the node hung up')));
    node.on('data', (chunk: Buffer) => {
      const [value] = framer.push(chunk);
      if (value === undefined) return;
      resolve(value.toString('utf8'));
      node.destroy();
    });
    node.write(text);
  });
}

/** The answer of a node that takes every transaction, or none. */
function madeUp({ calls, batch }: Message, kind: 'swallow' | 'refuse'): unknown {
  const answers = calls.map(({ id, params }) => {
    const raw = Buffer.from(String(params?.[0] ?? '').slice(2), 'hex');
    if (kind === 'swallow') return { jsonrpc: '2.0', id, result: toHex(keccak256(raw)) };
    return { jsonrpc: '2.0', id, error: { code: -32000, message: 'exceeds block gas limit' } };
  });
  return batch ? answers : answers[0];
}

function failing({ calls, batch }: Message, status: number): unknown {
  const error =
    status === 429 ? { code: -32005, message: 'limit exceeded' } : { code: -32603, message: 'internal error' };
  const answers = calls.map(({ id }) => ({ jsonrpc: '2.0', id, error }));
  return batch ? answers : answers[0];
}

function takeWithheld(text: string, withheld: Map<unknown, 'cut' | 'nothing'>): 'cut' | 'nothing' | undefined {
  const parsed = JSON.parse(text) as { id?: unknown } | { id?: unknown }[];
  const { id } = (Array.isArray(parsed) ? parsed[0] : parsed) ?? {};
  const how = withheld.get(id);
  withheld.delete(id);
  return how;
}

function listening(server: Server, where: string | number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    const done = () => resolve();
    if (typeof where === 'string') server.listen(where, done);
    else server.listen(where, '127.0.0.1', done);
  });
}

function closing(server: Server, sockets: Set<Socket>): { close(): Promise<void> } {
  return {
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}
