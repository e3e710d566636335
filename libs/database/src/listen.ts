import pg from 'pg';

export interface Listener {
  close(): Promise<void>;
}

export interface ListenHandlers {
  onMessage(channel: string, payload: string): void;
  /** Called once listening (again): what was notified before is lost, so whoever waits looks for itself. */
  onConnect?(): void;
  /** Told why a connection was lost or could not be made; the next try follows by itself. */
  onError?(error: Error): void;
}

const FIRST_DELAY_MS = 50;
const LONGEST_DELAY_MS = 2_000;

/**
 * LISTENs on a connection of its own for as long as it isn't closed, reconnecting whenever the connection is lost.
 * Resolves once the first connection listens.
 * @param channels plain lower-case identifiers
 * @throws Error when the very first connection fails
 */
export async function listen(url: string, channels: readonly string[], handlers: ListenHandlers): Promise<Listener> {
  let closed = false;
  let current: pg.Client | undefined;
  let timer: NodeJS.Timeout | undefined;
  let delay = FIRST_DELAY_MS;

  async function connect(): Promise<void> {
    const client = new pg.Client({
      connectionString: url,
      application_name: 'emr-listen',
      keepAlive: true,
      keepAliveInitialDelayMillis: 5_000,
      connectionTimeoutMillis: 5_000,
    });
    let lost = false;
    const onLost = (error: Error) => {
      if (lost || closed) return;
      lost = true;
      handlers.onError?.(error);
      client.end().catch(() => undefined);
      if (current === client) {
        current = undefined;
        retry();
      }
    };
    client.on('error', onLost);
    client.on('end', () => onLost(new Error('The connection that listens was closed.')));
    client.on('notification', (message) => handlers.onMessage(message.channel, message.payload ?? ''));
    try {
      await client.connect();
      for (const channel of channels) await client.query(`LISTEN ${pg.escapeIdentifier(channel)}`);
    } catch (error) {
      lost = true;
      client.end().catch(() => undefined);
      throw error;
    }
    if (closed) return void (await client.end().catch(() => undefined));
    if (lost) throw new Error('The connection was lost while it began to listen.');
    current = client;
    delay = FIRST_DELAY_MS;
    handlers.onConnect?.();
  }

  function retry(): void {
    if (closed) return;
    timer = setTimeout(() => {
      connect().catch((error: Error) => {
        handlers.onError?.(error);
        retry();
      });
    }, delay);
    delay = Math.min(delay * 2, LONGEST_DELAY_MS);
  }

  await connect();
  return {
    async close() {
      closed = true;
      clearTimeout(timer);
      await current?.end().catch(() => undefined);
    },
  };
}
