import { connect } from 'node:net';
import { type FramerOptions, JsonFramer } from './json-framer.js';

/** One open connection that carries whole JSON texts both ways. */
export interface MessageSocket {
  send(text: string): void;
  close(): void;
}

export interface MessageHandlers {
  /** A JSON-RPC object, or a batch of them. */
  onMessage(text: string): void;
  /** Called once when the connection is gone, whoever ended it. */
  onClose(reason?: Error): void;
}

/**
 * Connects to a node's IPC endpoint (a Unix socket, or a named pipe).
 * @param framing whether the answers of a batch come as the one message that they are, or one by one
 * @throws Error when nobody listens there
 */
export function openIpc(
  path: string,
  handlers: MessageHandlers,
  framing: Pick<FramerOptions, 'batchesApart'> = {},
): Promise<MessageSocket> {
  return new Promise((resolve, reject) => {
    const framer = new JsonFramer(framing);
    const socket = connect(path);
    let failure: Error | undefined;
    let open = false;
    socket.once('connect', () => {
      open = true;
      resolve({ send: (text) => void socket.write(text), close: () => void socket.destroy() });
    });
    socket.on('data', (chunk: Buffer) => {
      try {
        for (const value of framer.push(chunk)) handlers.onMessage(value.toString('utf8'));
      } catch (error) {
        socket.destroy(error as Error);
      }
    });
    socket.on('error', (error) => {
      failure = error;
    });
    socket.on('close', () =>
      open ? handlers.onClose(failure) : reject(failure ?? new Error('The connection was closed.')),
    );
  });
}
