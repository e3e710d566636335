import pg from 'pg';

/**
 * A connection whose loss ends no process. The pool hears of it while the connection is idle, and who takes one as soon as they have it; but a
 * last answer and the server's farewell may arrive in one piece, and then it is lost on its way from hand to hand: an `error` event that
 * nobody hears, which Node ends the process for. Whoever uses such a connection learns of it by the next statement, and the pool keeps it no longer.
 */
export class PooledClient extends pg.Client {
  constructor(config?: string | pg.ClientConfig) {
    super(config);
    this.on('error', () => undefined);
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
  return class ImpatientClient extends PooledClient {
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
