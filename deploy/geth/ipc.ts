import { createHash } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

// 107 bytes on Linux, 103 on macOS; a longer path is silently unusable.
const LONGEST_SOCKET_PATH = 103;

/**
 * Path of the node's socket: inside its folder, or, where that is too deep for a unix socket, in a folder of ours under
 * the system's temporary one, its name made from the node's folder.
 */
export function ipcPathFor(directory: string): string {
  const inside = join(directory, 'geth.ipc');
  if (Buffer.byteLength(inside) <= LONGEST_SOCKET_PATH) return inside;
  const name = createHash('sha256').update(directory).digest('hex').slice(0, 16);
  const folder = join(tmpdir(), `emr-ipc-${process.getuid?.() ?? 0}`);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  return join(folder, `${name}.ipc`);
}

/**
 * One JSON-RPC call over a connection of its own: for the few control calls (peers, mining), not for traffic.
 * @throws Error with the node's message, or when nobody answers in time
 */
export function ipcCall<T>(path: string, method: string, params: unknown[] = [], timeoutMs = 10_000): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const socket = connect(path);
    let text = '';
    const finish = (act: () => void) => {
      clearTimeout(timer);
      socket.destroy();
      act();
    };
    const timer = setTimeout(
      () => finish(() => reject(new Error(`${method}: no answer from ${path} in ${timeoutMs} ms`))),
      timeoutMs,
    );
    socket.setEncoding('utf8');
    socket.once('connect', () => socket.write(JSON.stringify({ jsonrpc: '2.0', id: 1, method, params })));
    socket.once('error', (error) => finish(() => reject(error)));
    socket.once('close', () => finish(() => reject(new Error(`${method}: ${path} closed the connection`))));
    socket.on('data', (chunk: string) => {
      text += chunk;
      let answer: { result?: T; error?: { message: string } };
      try {
        answer = JSON.parse(text);
      } catch {
        return; // not all of it yet
      }
      finish(() =>
        answer.error ? reject(new Error(`${method}: ${answer.error.message}`)) : resolve(answer.result as T),
      );
    });
  });
}
