import { connect, createServer, type Server, type Socket } from 'node:net';
import { JsonFramer } from '../../../libs/chain-client/src/rpc/json-framer.js';

export interface Call {
  method: string;
  params: unknown[];
}

/** What is told instead of a node's answer; the answer itself to pass it on. An announced head comes as `eth_subscription`. */
export type Tell = (call: Call, answer: unknown) => unknown;

/** Told in place of an answer: the node's error. */
export class Refusal {
  constructor(
    readonly code: number,
    readonly message: string,
  ) {}
}

interface Message {
  id?: number;
  method?: string;
  params?: { result: unknown } & unknown[];
  result?: unknown;
}

/** Stands at a socket of its own before a real node's and passes everything on, save what it is told to say instead. */
export class LyingNode {
  tell: Tell | undefined;
  /** Whether it has the methods for raw blocks. */
  raw = false;
  /** Whether its database may be read. */
  database = false;
  private readonly sockets = new Set<Socket>();
  private readonly upstreams = new Set<Socket>();

  private constructor(
    readonly path: string,
    private readonly upstream: string,
    private readonly server: Server,
  ) {}

  static async start(path: string, upstream: string): Promise<LyingNode> {
    const server = createServer();
    const node = new LyingNode(path, upstream, server);
    server.on('connection', (client: Socket) => node.relay(client));
    await new Promise<void>((ready) => server.listen(path, ready));
    return node;
  }

  /** Holds every answer back until `done` has settled: what is mined meanwhile can be lied of from the first word on. */
  async holding(done: () => Promise<void>): Promise<void> {
    for (const socket of this.upstreams) socket.pause();
    try {
      await done();
    } finally {
      for (const socket of this.upstreams) socket.resume();
    }
  }

  async stop(): Promise<void> {
    const closed = new Promise((done) => this.server.close(done));
    for (const socket of this.sockets) socket.destroy();
    await closed;
  }

  private relay(client: Socket): void {
    const node = connect(this.upstream);
    this.upstreams.add(node);
    node.on('close', () => this.upstreams.delete(node));
    const asked = new Map<number, Call>();
    for (const socket of [client, node]) {
      this.sockets.add(socket);
      const end = () => {
        client.destroy();
        node.destroy();
        this.sockets.delete(socket);
      };
      socket.on('error', end).on('close', end);
    }
    const requests = new JsonFramer();
    client.on('data', (chunk: Buffer) => {
      for (const value of requests.push(chunk)) {
        for (const { id, method, params } of listOf(value)) asked.set(id as number, { method, params } as Call);
        node.write(value);
      }
    });
    const answers = new JsonFramer();
    node.on('data', (chunk: Buffer) => {
      for (const value of answers.push(chunk)) {
        const messages = listOf(value);
        const told = messages.map((message) => this.retell(message, asked));
        for (const { id } of messages) if (id !== undefined) asked.delete(id);
        if (told.every((message, index) => message === messages[index])) client.write(value);
        else client.write(JSON.stringify(value[0] === OPEN_BRACKET ? told : told[0]));
      }
    });
  }

  private retell(message: Message, asked: Map<number, Call>): Message {
    const method = asked.get(message.id as number)?.method ?? '';
    if ((!this.raw && method.startsWith('debug_getRaw')) || (!this.database && method.startsWith('debug_db'))) {
      return { id: message.id, jsonrpc: '2.0', error: { ...new Refusal(-32_601, 'no such method') } } as Message;
    }
    const { tell } = this;
    if (tell === undefined) return message;
    if (message.method === 'eth_subscription' && message.params) {
      const { result } = message.params;
      const told = tell({ method: message.method, params: [] }, result);
      return told === result ? message : ({ ...message, params: { ...message.params, result: told } } as Message);
    }
    const call = asked.get(message.id as number);
    if (!call || message.result === undefined) return message;
    const told = tell(call, message.result);
    if (told instanceof Refusal) return { id: message.id, jsonrpc: '2.0', error: { ...told } } as Message;
    return told === message.result ? message : { ...message, result: told };
  }
}

const OPEN_BRACKET = 0x5b;

function listOf(value: Buffer): Message[] {
  const parsed = JSON.parse(value.toString('utf8')) as Message | Message[];
  return Array.isArray(parsed) ? parsed : [parsed];
}
