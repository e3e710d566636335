import type { PoolClient } from 'pg';
import type { Random } from './ledger-model.js';
import { Killed } from './tree-run.js';

/** What the driver takes in a query's place (libs/database/src/copy.ts). */
interface Flight {
  submit: unknown;
  callback(error: Error | null, counts?: number[]): void;
}

/**
 * A database connection whose process dies at any statement, also in the middle of a transaction: before it is sent, while it is on its way
 * (whether it happened nobody knows), or with the answer just in.
 */
export function dyingClient(client: PoolClient, random: Random, perThousand: number): PoolClient {
  let dead = false;
  const cut = () => {
    dead = true;
    const { connection } = client as unknown as { connection: { stream: { destroy(): void } } };
    connection.stream.destroy();
  };
  const die = (when: string): never => {
    cut();
    throw new Killed(when);
  };
  const query = (...given: unknown[]): unknown => {
    const flight = given[0] as Flight | undefined;
    return typeof flight?.submit === 'function' ? submit(flight) : ask(...given);
  };
  // It is handed back at once and calls back by itself.
  const submit = (flight: Flight): Flight => {
    const { callback } = flight;
    const fate = dead ? 0 : fateOf();
    if (fate === 0) {
      if (!dead) cut();
      callback(new Killed('before a flight'));
      return flight;
    }
    flight.callback = (error, counts) => {
      if (fate === 2 && !error) cut();
      callback(dead ? new Killed('in or after a flight') : error, counts);
    };
    (client.query as (given: Flight) => unknown)(flight);
    if (fate === 1) setImmediate(cut);
    return flight;
  };
  const fateOf = () => (random.int(1_000) < perThousand ? random.int(3) : undefined);
  const ask = async (...given: unknown[]): Promise<unknown> => {
    if (dead) throw new Killed('dead already');
    const fate = fateOf();
    if (fate === 0) die('before a statement');
    const answer = (client.query as (...args: unknown[]) => Promise<unknown>)(...given);
    if (fate === 1) {
      answer.catch(() => undefined);
      // One turn for the bytes to leave.
      await new Promise((resolve) => setImmediate(resolve));
      die('in a statement');
    }
    const result = await answer.catch((error: unknown) => {
      throw dead ? new Killed('while a statement was under way') : error;
    });
    if (fate === 2) die('after a statement');
    return result;
  };
  return new Proxy(client, { get: (target, key) => (key === 'query' ? query : Reflect.get(target, key)) });
}
