import { setTimeout as sleep } from 'node:timers/promises';
import { type BeforeApplicationShutdown, Inject, Injectable, type OnApplicationBootstrap } from '@nestjs/common';
import type { Logger } from '../../../../libs/platform/src/logger.js';
import { LOGGER } from '../core.tokens.js';
import { AccessLogChainStore } from './access-log-chain.store.js';

/** How long an entry waits to be linked, as a rule. */
const EVERY_MS = 100;
/** Entries of one commit: some 20 ms of Postgres. */
const MOST = 2_000;
/** After a failure. */
const LATER_MS = 2_000;
/** SQLSTATEs of `link_access_log` that no waiting ends: an entry is gone, or the log was restored from a dump. */
const BROKEN = ['AL001', 'AL002'];

/**
 * Has new entries of the access log linked, for as long as this process runs. Every replica does; Postgres lets one at a time, each time in
 * one statement, so that a replica may die at any point and nothing is skipped or linked twice.
 */
@Injectable()
export class AccessLogLinker implements OnApplicationBootstrap, BeforeApplicationShutdown {
  readonly #stop = new AbortController();
  #running: Promise<void> | undefined;
  /** What was last complained of: once is enough. */
  #complaint = '';

  constructor(
    private readonly store: AccessLogChainStore,
    @Inject(LOGGER) private readonly logger: Logger,
  ) {}

  onApplicationBootstrap(): void {
    this.#running = this.#run();
  }

  async beforeApplicationShutdown(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      const pause = await this.#link();
      if (pause > 0) await sleep(pause, undefined, { signal, ref: false }).catch(() => undefined);
    }
  }

  /** @returns ms until there may be more to do */
  async #link(): Promise<number> {
    try {
      const linked = await this.store.link(MOST);
      this.#complaint = '';
      return linked === MOST ? 0 : EVERY_MS;
    } catch (error) {
      this.#complain(error as Error & { code?: string });
      return LATER_MS;
    }
  }

  #complain(error: Error & { code?: string }): void {
    if (error.message === this.#complaint) return;
    this.#complaint = error.message;
    if (BROKEN.includes(error.code ?? '')) {
      this.logger.error(
        { err: error, alarm: true, runbook: 'access-log-unlinked' },
        'the access log can not be linked',
      );
    } else {
      this.logger.warn({ err: error }, 'entries of the access log wait to be linked');
    }
  }
}
