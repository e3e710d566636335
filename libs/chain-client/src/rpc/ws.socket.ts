import WebSocket from 'ws';
import type { MessageHandlers, MessageSocket } from './ipc.socket.js';

const PING_MS = 15_000;

/** Connects to a node's WebSocket endpoint. A connection whose far end is silently gone is found by pings. */
export function openWebSocket(url: string, handlers: MessageHandlers): Promise<MessageSocket> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url, {
      perMessageDeflate: false,
      handshakeTimeout: 10_000,
      maxPayload: 512 * 1024 * 1024,
    });
    let failure: Error | undefined;
    let open = false;
    let alive = true;
    const heartbeat = setInterval(() => {
      if (!open) return;
      if (!alive) return socket.terminate();
      alive = false;
      socket.ping();
    }, PING_MS);
    heartbeat.unref();
    socket.on('open', () => {
      open = true;
      resolve({ send: (text) => socket.send(text), close: () => socket.terminate() });
    });
    socket.on('pong', () => {
      alive = true;
    });
    socket.on('message', (data) => {
      alive = true;
      handlers.onMessage(data.toString());
    });
    socket.on('error', (error) => {
      failure = error;
    });
    socket.on('close', () => {
      clearInterval(heartbeat);
      if (open) handlers.onClose(failure);
      else reject(failure ?? new Error('The connection was closed.'));
    });
  });
}
