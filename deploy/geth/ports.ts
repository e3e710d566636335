import { createServer } from 'node:net';

/** Whether 127.0.0.1:port can be bound. */
export function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => server.close(() => resolve(true)));
  });
}

// Below the range the system hands out by itself (Linux: from 32,768): a port that is free now, and bound a second later by whoever
// was told of it, must not meanwhile become the near end of somebody's connection.
const RANGES = { first: 12_000, step: 40, count: 200 };
const SINGLE = { first: 20_000, step: 40, count: 300 };

/** A run of so many free ports, at most 40. @returns the first */
export async function freeBase(range: number): Promise<number> {
  for (let tries = 0; tries < 50; tries += 1) {
    const base = RANGES.first + RANGES.step * Math.floor(Math.random() * RANGES.count);
    const ports = Array.from({ length: range }, (_, index) => base + index);
    if ((await Promise.all(ports.map(isFree))).every(Boolean)) return base;
  }
  throw new Error(`no ${range} free ports in a row`);
}

// Processes that look at the same time start at different places, and none is told the same port twice in a row.
let next = SINGLE.step * (process.pid % SINGLE.count);

/** A free port, to be bound by whoever is told of it. */
export async function freePort(): Promise<number> {
  const total = SINGLE.step * SINGLE.count;
  for (let tries = 0; tries < total; tries += 1) {
    const port = SINGLE.first + next;
    next = (next + 1) % total;
    if (await isFree(port)) return port;
  }
  throw new Error('no free port');
}
