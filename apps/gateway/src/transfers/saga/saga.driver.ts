import { type BeforeApplicationShutdown, Inject, Injectable, type OnApplicationBootstrap } from '@nestjs/common';
import { type Listener, listen } from '../../../../../libs/database/src/listen.js';
import { ProblemError } from '../../../../../libs/platform/src/errors.js';
import type { Logger } from '../../../../../libs/platform/src/logger.js';
import type { NetworksConfig } from '../../../../../libs/platform/src/networks.js';
import { LOGGER, NETWORKS } from '../../core.tokens.js';
import { GATEWAY_ENV, type GatewayEnv } from '../../gateway.env.js';
import { PackageInvalid } from '../transfer-package.js';
import { ActorKeyMissing } from './saga.acts.js';
import { SagaRunner, StepFailed } from './saga.runner.js';
import { SagaStore } from './saga.store.js';

const CHANNEL = 'mirror_commit';
const SWEEP_MS = 1_000;
/** Commits that come this close together are looked at once. */
const GATHER_MS = 20;
const AT_ONCE = 8;
/** A transfer that waits for a ledger or a person is woken by events; this is for what was missed, and for time running out. */
const WAIT_SECONDS = 5;
const LONGEST_BACKOFF_SECONDS = 60;

/**
 * Moves transfers on: woken by the mirror's commits, by this process's own requests, and by a sweep once a second. Killed at any moment, the
 * next start (or another replica) looks again and goes on; a row is leased while it is worked on.
 */
@Injectable()
export class SagaDriver implements OnApplicationBootstrap, BeforeApplicationShutdown {
  readonly #seen = new Map<string, string>();
  #listener?: Listener;
  #timer?: NodeJS.Timeout;
  #soon?: NodeJS.Timeout;
  #open = true;
  #running?: Promise<void>;
  #again = false;
  #stopped = true;

  constructor(
    private readonly store: SagaStore,
    private readonly runner: SagaRunner,
    @Inject(LOGGER) private readonly logger: Logger,
    @Inject(GATEWAY_ENV) private readonly env: GatewayEnv,
    @Inject(NETWORKS) private readonly networks: NetworksConfig,
  ) {}

  async onApplicationBootstrap(): Promise<void> {
    if (!this.env.WORKER) return;
    this.#stopped = false;
    await this.store.wakeAll();
    this.#listener = await listen(this.env.DATABASE_URL, [CHANNEL], {
      onMessage: (_channel, payload) => this.#heard(payload),
      onConnect: () => this.kick(),
      onError: (error) => this.logger.warn({ err: error }, 'transfers: listening for mirror commits was interrupted'),
    });
    this.#timer = setInterval(() => this.#run(), SWEEP_MS);
    this.#run();
  }

  async beforeApplicationShutdown(): Promise<void> {
    this.#stopped = true;
    clearInterval(this.#timer);
    clearTimeout(this.#soon);
    await this.#listener?.close();
    await this.#running;
  }

  /** A transfer was begun or moved on by a request: to be looked at soon. */
  kick(): void {
    this.#open = true;
    this.#schedule();
  }

  /** The local network may commit a hundred times a second: it concerns transfers only while one is open. */
  #heard(payload: string): void {
    if (this.#open || payload.includes(`"network":"${this.networks.global}"`)) this.#schedule();
  }

  #schedule(): void {
    if (this.#stopped) return;
    this.#soon ??= setTimeout(() => {
      this.#soon = undefined;
      this.#run();
    }, GATHER_MS);
  }

  #run(): void {
    if (this.#stopped) return;
    if (this.#running) {
      this.#again = true;
      return;
    }
    this.#running = this.#drain().finally(() => {
      this.#running = undefined;
      if (this.#again) {
        this.#again = false;
        this.#run();
      }
    });
  }

  async #drain(): Promise<void> {
    try {
      await this.#observe();
      for (;;) {
        const ids = this.#stopped ? [] : await this.store.claim(AT_ONCE);
        if (ids.length === 0) break;
        await Promise.all(ids.map((id) => this.#one(id)));
      }
      this.#open = await this.store.hasOpen();
    } catch (error) {
      this.logger.warn({ err: error }, 'transfers could not be looked at; the next sweep tries again');
    }
  }

  /** What is new on the ledgers: transfers to this hospital, and events of records under transfer. */
  async #observe(): Promise<void> {
    const cursors = await this.store.cursors();
    const news = cursors.filter(({ network, sequence }) => this.#seen.get(network) !== sequence);
    if (news.length === 0) return;
    await this.store.discover();
    for (const { network, sequence } of news) {
      const seen = this.#seen.get(network);
      if (seen === undefined) await this.store.wakeAll();
      else await this.store.wake(network, seen, sequence);
      this.#seen.set(network, sequence);
    }
  }

  async #one(id: Buffer): Promise<void> {
    try {
      const result = await this.runner.run(id);
      if (result.do === 'end') {
        const level = result.step === 'failed' ? 'error' : 'info';
        this.logger[level]({ transfer: id.toString('hex'), reason: result.reason }, `transfer ${result.step}`);
        return;
      }
      await this.store.release(id, { step: result.step, delaySeconds: WAIT_SECONDS, resetAttempts: true });
    } catch (error) {
      await this.#failed(id, error);
    }
  }

  async #failed(id: Buffer, error: unknown): Promise<void> {
    const attempts = (await this.store.attempts(id).catch(() => 1)) ?? 1;
    const delaySeconds = Math.min(LONGEST_BACKOFF_SECONDS, 0.5 * 2 ** Math.min(attempts, 8));
    const { step, cause } = error instanceof StepFailed ? error : { step: undefined, cause: error };
    this.logger.warn(
      { err: cause, step, transfer: id.toString('hex'), delaySeconds },
      'a step of a transfer will be tried again',
    );
    await this.store
      .release(id, { ...(step ? { step } : {}), delaySeconds, problem: problemOf(cause), resetAttempts: false })
      .catch(() => undefined); // the lease runs out by itself
  }
}

/** What the transfer's page says. Only words of ours: an error's message may hold anything. */
function problemOf(error: unknown): string {
  if (error instanceof ProblemError || error instanceof PackageInvalid || error instanceof ActorKeyMissing) {
    return error.message;
  }
  return 'This gateway failed at a step and tries again.';
}
