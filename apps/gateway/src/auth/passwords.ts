import { Injectable } from '@nestjs/common';
import { hash, verify } from '@node-rs/argon2';
import { ProblemError } from '../../../../libs/platform/src/errors.js';

/** OWASP's argon2id parameters: 19 MiB, 2 passes. */
const cost = { memoryCost: 19_456, timeCost: 2, parallelism: 1 };
/** Hashes at a time: more would take the thread pool from everybody else. */
const MOST_AT_ONCE = 2;
const MOST_WAITING = 32;

/** argon2id, a few at a time. */
@Injectable()
export class Passwords {
  #running = 0;
  readonly #waiting: (() => void)[] = [];
  /** Verified when there is no such user, so that an answer takes as long for unknown names. */
  readonly #decoy = hash('nobody has this password', cost);

  hash(password: string): Promise<string> {
    return this.#inTurn(() => hash(password, cost));
  }

  /** @throws ProblemError TOO_MANY_REQUESTS when too many wait already */
  verify(passwordHash: string | undefined, password: string): Promise<boolean> {
    return this.#inTurn(async () => {
      const matches = await verify(passwordHash ?? (await this.#decoy), password);
      return matches && passwordHash !== undefined;
    });
  }

  async #inTurn<T>(work: () => Promise<T>): Promise<T> {
    if (this.#running >= MOST_AT_ONCE) {
      if (this.#waiting.length >= MOST_WAITING) throw new ProblemError('TOO_MANY_REQUESTS', { retryAfter: 2 });
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    } else {
      this.#running++;
    }
    try {
      return await work();
    } finally {
      // The place passes straight to whoever waits longest.
      const next = this.#waiting.shift();
      if (next) next();
      else this.#running--;
    }
  }
}
