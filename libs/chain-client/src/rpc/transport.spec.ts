import { mkdtemp, rm } from 'node:fs/promises';
import { createServer as createHttp, type Server } from 'node:http';
import { createServer, type Server as NetServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { WebSocketServer } from 'ws';
import { RpcError } from './rpc.error.js';
import type { RpcHead, RpcTransport } from './rpc.types.js';
import { connectRpc } from './transport.js';

interface Call {
  id: number;
  method: string;
  params: unknown[];
}

/** What a node would say; `silent` gets no answer, `refuse` an error. */
function answer(call: Call): object | undefined {
  if (call.method === 'silent') return undefined;
  if (call.method === 'refuse')
    return { jsonrpc: '2.0', id: call.id, error: { code: -32000, message: 'nonce too low' } };
  if (call.method === 'indexing') {
    return { jsonrpc: '2.0', id: call.id, error: { code: -32000, message: 'transaction indexing is in progress' } };
  }
  if (call.method === 'eth_subscribe') return { jsonrpc: '2.0', id: call.id, result: '0x5' };
  return { jsonrpc: '2.0', id: call.id, result: { echo: call.params } };
}

function answerText(text: string): string {
  const message = JSON.parse(text) as Call | Call[];
  const result = Array.isArray(message) ? message.map(answer).reverse().filter(Boolean) : answer(message);
  return result === undefined ? '' : JSON.stringify(result);
}

const head = (number: string) => ({ number, hash: `0x${number.slice(2).padStart(64, '0')}`, parentHash: '0x00' });
const notification = (number: string) =>
  JSON.stringify({ jsonrpc: '2.0', method: 'eth_subscription', params: { subscription: '0x5', result: head(number) } });

const cleanups: (() => Promise<unknown> | unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

function transport(url: string): RpcTransport {
  const made = connectRpc(url, { timeoutMs: 200, pollMs: 5 });
  cleanups.push(() => made.close());
  return made;
}

async function ipcNode(onSubscribe?: (socket: Socket, connection: number) => void) {
  const folder = await mkdtemp(join(tmpdir(), 'rpc-'));
  const path = join(folder, 'node.ipc');
  const sockets: Socket[] = [];
  const server: NetServer = createServer((socket) => {
    sockets.push(socket);
    let rest = '';
    socket.on('error', () => undefined);
    socket.on('data', (chunk) => {
      rest += chunk.toString();
      // The client writes one value at a time; values end at balanced brackets, which the fake finds by trying.
      for (let end = 1; end <= rest.length; end++) {
        const text = rest.slice(0, end);
        if (!/[\]}]$/.test(text)) continue;
        try {
          JSON.parse(text);
        } catch {
          continue;
        }
        rest = rest.slice(end);
        end = 0;
        socket.write(answerText(text));
        if (text.includes('eth_subscribe')) onSubscribe?.(socket, sockets.length);
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  cleanups.push(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
    await rm(folder, { recursive: true });
  });
  return { path, sockets };
}

async function httpNode(status = 200): Promise<string> {
  let polls = 0;
  const server: Server = createHttp((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const text = Buffer.concat(chunks).toString();
      if (text.includes('"silent"')) return;
      response.statusCode = status;
      if (text.includes('eth_getBlockByNumber')) {
        polls += 1;
        return response.end(JSON.stringify({ id: (JSON.parse(text) as Call).id, result: head(`0x${polls}`) }));
      }
      response.end(answerText(text));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanups.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as { port: number }).port}`;
}

async function wsNode(): Promise<string> {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  server.on('connection', (socket) => {
    socket.on('message', (data) => {
      const text = answerText(data.toString());
      if (text !== '') socket.send(text);
      if (data.toString().includes('eth_subscribe')) socket.send(notification('0x7'));
    });
  });
  await new Promise((resolve) => server.on('listening', resolve));
  cleanups.push(() => {
    for (const client of server.clients) client.terminate();
    server.close();
  });
  return `ws://127.0.0.1:${(server.address() as { port: number }).port}`;
}

const nodes = { ipc: async () => (await ipcNode()).path, http: () => httpNode(), ws: wsNode };

describe.each(Object.entries(nodes))('JSON-RPC over %s', (name, start) => {
  it('brings each pipelined request its own answer', async () => {
    const rpc = transport(await start());
    const answers = await Promise.all(Array.from({ length: 100 }, (_, i) => rpc.request('echo', [i, 'ü"}]{'])));
    expect(answers).toEqual(Array.from({ length: 100 }, (_, i) => ({ echo: [i, 'ü"}]{'] })));
  });

  it('orders the outcomes of a batch as its calls, whatever order the node answers in', async () => {
    const rpc = transport(await start());
    const calls = [{ method: 'echo', params: [1] }, { method: 'refuse' }, { method: 'echo', params: [3] }];
    const outcomes = await rpc.batchSettled(calls);
    expect(outcomes[0]).toEqual({ value: { echo: [1] } });
    expect(outcomes[1]!.error).toMatchObject({ code: -32000, message: 'nonce too low', retryable: false });
    expect(outcomes[2]).toEqual({ value: { echo: [3] } });
    await expect(rpc.batch(calls)).rejects.toThrow('nonce too low');
  });

  it('makes values of results as a call says, of results alone', async () => {
    const rpc = transport(await start());
    const decode = (result: unknown) => [result];
    const outcomes = await rpc.batchSettled([
      { method: 'echo', params: [1], decode },
      { method: 'refuse', decode },
      { method: 'echo' },
    ]);
    expect(outcomes.map(({ value }) => value)).toEqual([[{ echo: [1] }], undefined, { echo: [] }]);
    expect(outcomes[1]!.error).toMatchObject({ code: -32000 });
  });

  it('says whether a refusal may pass', async () => {
    const rpc = transport(await start());
    await expect(rpc.request('indexing')).rejects.toMatchObject({ retryable: true });
    await expect(rpc.request('refuse')).rejects.toMatchObject({ retryable: false, answered: true });
  });

  it('gives up after the timeout and goes on working', async () => {
    const rpc = transport(await start());
    await expect(rpc.request('silent')).rejects.toMatchObject({ code: 'TIMEOUT', retryable: true });
    await expect(rpc.request('echo', [1])).resolves.toEqual({ echo: [1] });
  });

  // For IPC see below, with lost connections.
  // Over IPC that is tested below, with a connection that breaks.
  if (name !== 'ipc')
    it('delivers new heads', async () => {
      const rpc = transport(await start());
      const first = await new Promise<RpcHead>((resolve) => void rpc.subscribe('newHeads', resolve));
      expect(first.hash).toHaveLength(66);
    });

  it('rejects at once after it was closed', async () => {
    const rpc = transport(await start());
    await rpc.request('echo');
    await rpc.close();
    await expect(rpc.request('echo')).rejects.toBeInstanceOf(RpcError);
  });
});

describe('a lost connection', () => {
  it('rejects what was in flight as retryable, then connects again for the next request', async () => {
    const node = await ipcNode();
    const rpc = transport(node.path);
    await rpc.request('echo');
    const inFlight = rpc.request('silent');
    const rejected = expect(inFlight).rejects.toMatchObject({ code: 'CONNECTION', retryable: true });
    node.sockets[0]!.destroy();
    await rejected;
    await expect(rpc.request('echo', [2])).resolves.toEqual({ echo: [2] });
  });

  it('subscribes again and says that heads may have been missed', async () => {
    // The first head follows the subscription's answer in the same packet.
    const node = await ipcNode((socket, connection) => {
      socket.write(notification(`0x${connection}`));
      if (connection === 1) setTimeout(() => socket.destroy(), 20);
    });
    const rpc = transport(node.path);
    const seen: string[] = [];
    await new Promise<void>((resolve) => {
      const onItem = (item: RpcHead) => {
        seen.push(item.number);
        if (item.number === '0x2' && seen.includes('gap')) resolve();
      };
      const onGap = () => {
        seen.push('gap');
        if (seen.includes('0x2')) resolve();
      };
      void rpc.subscribe('newHeads', onItem, onGap);
    });
    expect(seen.sort()).toEqual(['0x1', '0x2', 'gap']);
  });

  it('says so when nobody listens', async () => {
    await expect(transport('/nonexistent/node.ipc').request('echo')).rejects.toMatchObject({
      code: 'CONNECTION',
      retryable: true,
    });
    await expect(transport('http://127.0.0.1:9').request('echo')).rejects.toMatchObject({
      code: 'CONNECTION',
      retryable: true,
    });
  });

  it('takes a failing endpoint for a passing state, a refusing one for a lasting one', async () => {
    await expect(transport(await httpNode(502)).request('echo')).rejects.toMatchObject({
      code: 'HTTP_STATUS',
      retryable: true,
    });
    await expect(transport(await httpNode(403)).request('echo')).rejects.toMatchObject({
      code: 'HTTP_STATUS',
      retryable: false,
    });
  });
});
