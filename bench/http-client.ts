import { connect, type Socket } from 'node:net';

export interface Answer {
  status: number;
  /** Names in lower case. */
  headers: Record<string, string>;
  body: Buffer;
  /** From sending to the last byte of the answer. */
  milliseconds: number;
}

const HEAD_END = Buffer.from('\r\n\r\n');

/**
 * One pool of keep-alive connections for all simulated clients, one request at a time on each. Written on bare sockets, as the load
 * generator shares its cores with what it measures: node:http costs it twice as much, fetch six times. It knows just what the gateway
 * answers with: HTTP/1.1 with a Content-Length.
 */
export class HttpClient {
  private readonly idle: Connection[] = [];
  private readonly waiting: ((connection: Connection) => void)[] = [];
  private readonly all = new Set<Connection>();
  private readonly address: { host: string; port: number };
  private readonly origin: string;

  constructor(
    baseUrl: string,
    private readonly connections: number,
  ) {
    const { hostname, port, host } = new URL(baseUrl);
    this.address = { host: hostname, port: Number(port) };
    this.origin = host;
  }

  /** @throws Error when the connection breaks, or nothing came within `timeoutMs` */
  async send(
    method: string,
    path: string,
    headers: Record<string, string>,
    body: Buffer | string = '',
    timeoutMs = 40_000,
  ): Promise<Answer> {
    const connection = await this.acquire();
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
    const length = body.length > 0 ? `content-length: ${Buffer.byteLength(body)}\r\n` : '';
    const head = `${method} ${path} HTTP/1.1\r\nhost: ${this.origin}\r\n${lines.join('')}${length}\r\n`;
    const started = performance.now();
    try {
      const answer = await connection.exchange(
        typeof body === 'string' ? head + body : Buffer.concat([Buffer.from(head), body]),
        timeoutMs,
      );
      return { ...answer, milliseconds: performance.now() - started };
    } finally {
      this.release(connection);
    }
  }

  close(): void {
    for (const connection of this.all) connection.destroy();
  }

  private acquire(): Promise<Connection> {
    const free = this.idle.pop();
    if (free) return Promise.resolve(free);
    if (this.all.size >= this.connections) return new Promise((resolve) => this.waiting.push(resolve));
    return Promise.resolve(this.open());
  }

  private open(): Connection {
    const connection = new Connection(connect(this.address));
    this.all.add(connection);
    return connection;
  }

  private release(connection: Connection): void {
    let usable = connection;
    if (connection.broken) {
      this.all.delete(connection);
      if (this.waiting.length === 0) return;
      usable = this.open();
    }
    const next = this.waiting.shift();
    if (next) next(usable);
    else this.idle.push(usable);
  }
}

type Exchanged = Omit<Answer, 'milliseconds'>;

class Connection {
  broken = false;
  private received: Buffer[] = [];
  private size = 0;
  /** Length of the whole answer, once its head was read. */
  private expected = Number.POSITIVE_INFINITY;
  private head: { status: number; headers: Record<string, string>; length: number } | undefined;
  private pending: { resolve(answer: Exchanged): void; reject(error: Error): void } | undefined;
  private timer: NodeJS.Timeout | undefined;

  constructor(private readonly socket: Socket) {
    socket.setNoDelay(true);
    socket.on('data', (chunk) => this.onData(chunk));
    socket.on('error', (error) => this.fail(error));
    socket.on('close', () => this.fail(new Error('the connection was closed')));
  }

  exchange(bytes: Buffer | string, timeoutMs: number): Promise<Exchanged> {
    return new Promise((resolve, reject) => {
      this.pending = { resolve, reject };
      this.timer = setTimeout(() => this.socket.destroy(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
      this.socket.write(bytes);
    });
  }

  destroy(): void {
    this.socket.destroy();
  }

  private onData(chunk: Buffer): void {
    this.received.push(chunk);
    this.size += chunk.length;
    if (this.head === undefined) this.readHead();
    if (this.size < this.expected || this.head === undefined) return;
    const { status, headers, length } = this.head;
    const body = this.all().subarray(length, this.expected);
    if (headers.connection === 'close') this.broken = true;
    this.settle()?.resolve({ status, headers, body });
  }

  private readHead(): void {
    const bytes = this.all();
    const end = bytes.indexOf(HEAD_END);
    if (end === -1) return;
    const [statusLine = '', ...lines] = bytes.toString('latin1', 0, end).split('\r\n');
    const headers: Record<string, string> = {};
    for (const line of lines) {
      const colon = line.indexOf(':');
      headers[line.slice(0, colon).toLowerCase()] = line.slice(colon + 1).trim();
    }
    const length = end + HEAD_END.length;
    this.head = { status: Number(statusLine.split(' ')[1]), headers, length };
    this.expected = length + Number(headers['content-length'] ?? 0);
    if (headers['transfer-encoding'] !== undefined) this.socket.destroy(new Error('an answer without Content-Length'));
  }

  private all(): Buffer {
    if (this.received.length > 1) this.received = [Buffer.concat(this.received)];
    return this.received[0] as Buffer;
  }

  private settle() {
    const { pending } = this;
    clearTimeout(this.timer);
    this.pending = undefined;
    this.received = [];
    this.size = 0;
    this.expected = Number.POSITIVE_INFINITY;
    this.head = undefined;
    return pending;
  }

  private fail(error: Error): void {
    this.broken = true;
    this.settle()?.reject(error);
  }
}
