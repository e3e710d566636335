import pg from 'pg';

/**
 * A connection whose loss ends no process. Whoever uses one listens for its errors, but not at every moment: not before it has the connection
 * in hand, though a first or last answer and the server's farewell may arrive in one piece; and BullMQ takes its listeners away before it ends
 * one. Node ends a process for an `error` event that nobody hears. Here the next statement tells of it, and a pool keeps the connection no longer.
 */
export class GuardedClient extends pg.Client {
  override emit(event: string | symbol, ...given: unknown[]): boolean {
    if (event === 'error' && this.listenerCount('error') === 0) return false;
    return super.emit(event as 'error', ...(given as [Error]));
  }
}

/**
 * A connection that breaks itself off once the server has left a statement unanswered for `limitMs`. The server's own `statement_timeout`
 * ends what takes long; it can't speak for a server that is frozen, or that a network swallows while its connections look alive.
 *
 * The driver's `query_timeout` won't do: it gives up the statement and keeps the connection. A BEGIN given up like that may still
 * happen later, and what the next user of the connection writes would then never be committed. A broken connection is rolled back.
 */
export function impatientClient(limitMs: number): typeof pg.Client {
  return class ImpatientClient extends GuardedClient {
    // biome-ignore lint/suspicious/noExplicitAny: the driver's overloads can't be told apart here, only passed on
    override query(...given: any[]): any {
      const timer = setTimeout(() => this.#breakOff(), limitMs);
      const answered = () => clearTimeout(timer);
      const callback = given.at(-1);
      if (typeof callback === 'function') {
        given[given.length - 1] = (...answer: unknown[]) => {
          answered();
          callback(...answer);
        };
      }
      const result = (super.query as (...args: unknown[]) => unknown)(...given);
      if (result instanceof Promise) result.then(answered, answered);
      else if (typeof callback !== 'function') answered(); // a cursor or a stream: how long it takes is up to its reader
      return result;
    }

    #breakOff(): void {
      const { connection } = this as unknown as { connection: { stream: { destroy(error: Error): void } } };
      connection.stream.destroy(
        new Error(`Connection terminated: the database did not answer a statement within ${limitMs} ms.`),
      );
    }
  };
}
