import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** A way to a server that can be frozen: connections stay open, and nothing passes any more. */
export interface FrozenWay {
  /** `url` with this way's address in place of the server's. */
  through(url: string): string;
  /** What is sent meanwhile is kept, and passes once it thaws. */
  freeze(): void;
  thaw(): void;
  close(): Promise<void>;
}

/** @param target postgres://… or any URL with host and port */
export async function frozenWay(target: string): Promise<FrozenWay> {
  const { hostname, port } = new URL(target);
  const sockets = new Set<Socket>();
  let frozen = false;
  const server = createServer((near) => {
    const far = connect(Number(port), hostname);
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from);
      from.on('data', (bytes) => to.write(bytes));
      from.on('error', () => to.destroy());
      from.on('close', () => {
        sockets.delete(from);
        to.destroy();
      });
      if (frozen) from.pause();
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    through(url) {
      const moved = new URL(url);
      moved.host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
      return moved.href;
    },
    freeze() {
      frozen = true;
      for (const socket of sockets) socket.pause();
    },
    thaw() {
      frozen = false;
      for (const socket of sockets) socket.resume();
    },
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
