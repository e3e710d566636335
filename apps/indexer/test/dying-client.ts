import type { PoolClient } from 'pg';
import type { Random } from './ledger-model.js';
import { Killed } from './tree-run.js';

/**
 * A database connection whose process dies at any statement, also in the middle of a transaction: before it is sent, while it is on its way
 * (whether it happened nobody knows), or with the answer just in.
 */
export function dyingClient(client: PoolClient, random: Random, perThousand: number): PoolClient {
  let dead = false;
  const die = (when: string): never => {
    dead = true;
    const { connection } = client as unknown as { connection: { stream: { destroy(): void } } };
    connection.stream.destroy();
    throw new Killed(when);
  };
  const query = (...given: unknown[]): unknown => {
    // A stream is handed back at once and ends by itself; it may die at the statements before and after it.
    const isStream = typeof (given[0] as { submit?: unknown })?.submit === 'function';
    return isStream && !dead ? (client.query as (...args: unknown[]) => unknown)(...given) : ask(...given);
  };
  const ask = async (...given: unknown[]): Promise<unknown> => {
    if (dead) throw new Killed('dead already');
    const fate = random.int(1_000) < perThousand ? random.int(3) : undefined;
    if (fate === 0) die('before a statement');
    const answer = (client.query as (...args: unknown[]) => Promise<unknown>)(...given);
    if (fate === 1) {
      answer.catch(() => undefined);
      // One turn for the bytes to leave.
      await new Promise((resolve) => setImmediate(resolve));
      die('in a statement');
    }
    const result = await answer;
    if (fate === 2) die('after a statement');
    return result;
  };
  return new Proxy(client, { get: (target, key) => (key === 'query' ? query : Reflect.get(target, key)) });
}
