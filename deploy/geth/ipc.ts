import { createHash } from 'node:crypto';
import { lstatSync, mkdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connectRpc } from '../../libs/chain-client/src/rpc/transport.js';

// 107 bytes on Linux, 103 on macOS; a longer path is silently unusable.
const LONGEST_SOCKET_PATH = 103;

/**
 * Path of the node's socket: inside its folder, or, where that is too deep for a unix socket, in a folder of ours under
 * the system's temporary one, its name made from the node's folder.
 * @throws Error when that folder is somebody else's: whoever owns it could put a node of their own there
 */
export function ipcPathFor(directory: string): string {
  const inside = join(directory, 'geth.ipc');
  if (Buffer.byteLength(inside) <= LONGEST_SOCKET_PATH) return inside;
  const name = createHash('sha256').update(directory).digest('hex').slice(0, 16);
  const folder = join(tmpdir(), `emr-ipc-${process.getuid?.() ?? 0}`);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  requirePrivate(folder);
  return join(folder, `${name}.ipc`);
}

/** @throws Error unless `folder` is a real one, ours, and closed to others */
export function requirePrivate(folder: string): void {
  const { mode, uid } = lstatSync(folder);
  const ours = process.getuid === undefined || uid === process.getuid();
  const isFolder = (mode & 0o170000) === 0o040000;
  if (!isFolder || !ours || (mode & 0o077) !== 0) {
    throw new Error(`${folder} is not a folder of this user alone; remove it, or set TMPDIR`);
  }
}

/**
 * One JSON-RPC call over a connection of its own: for the few control calls (peers, mining), not for traffic.
 * @throws RpcError with the node's message, or when nobody answers in time
 */
export async function ipcCall<T>(path: string, method: string, params: unknown[] = [], timeoutMs = 10_000): Promise<T> {
  const rpc = connectRpc(path, { timeoutMs });
  try {
    return await rpc.request<T>(method, params);
  } finally {
    await rpc.close();
  }
}
