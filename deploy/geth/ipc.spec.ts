import { rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { ipcCall, ipcPathFor } from './ipc.js';

let server: Server | undefined;
const path = join(tmpdir(), `emr-ipc-spec-${process.pid}.sock`);

async function answering(...chunks: string[]): Promise<void> {
  server = createServer((socket) =>
    socket.once('data', async () => {
      for (const chunk of chunks) {
        socket.write(chunk);
        await new Promise((wake) => setTimeout(wake, 10));
      }
    }),
  );
  await new Promise<void>((resolve) => server?.listen(path, resolve));
}

afterEach(async () => {
  await new Promise<void>((resolve) => (server ? server.close(() => resolve()) : resolve()));
  server = undefined;
  await rm(path, { force: true });
});

describe('a call over IPC', () => {
  it('puts an answer in pieces together', async () => {
    await answering('{"jsonrpc":"2.0","id":1,', '"result":{"n":7}}\n');
    expect(await ipcCall(path, 'a_b')).toEqual({ n: 7 });
  });

  it('rejects with the words of the node', async () => {
    await answering('{"jsonrpc":"2.0","id":1,"error":{"code":-32000,"message":"no such thing"}}\n');
    await expect(ipcCall(path, 'a_b')).rejects.toThrow('a_b: no such thing');
  });

  it('gives up on a node that says nothing', async () => {
    await answering();
    await expect(ipcCall(path, 'a_b', [], 50)).rejects.toThrow('no answer');
  });

  it('rejects when nobody listens', async () => {
    await expect(ipcCall(path, 'a_b')).rejects.toThrow();
  });
});

describe('the path of a socket', () => {
  it('stays in the folder while that is short enough', () => {
    expect(ipcPathFor('/srv/emr/local')).toBe('/srv/emr/local/geth.ipc');
  });

  it('moves to a short folder when it is not, each node to its own', () => {
    const deep = `/srv/${'deep/'.repeat(30)}`;
    expect(Buffer.byteLength(ipcPathFor(deep))).toBeLessThan(104);
    expect(ipcPathFor(deep)).not.toBe(ipcPathFor(`${deep}other`));
  });
});
