import { setTimeout as sleep } from 'node:timers/promises';
import { type BeforeApplicationShutdown, Inject, Injectable, type OnApplicationBootstrap } from '@nestjs/common';
import { Lead } from '../../../../libs/database/src/lead.js';
import type { Logger } from '../../../../libs/platform/src/logger.js';
import { LOGGER } from '../core.tokens.js';
import { GATEWAY_ENV, type GatewayEnv } from '../gateway.env.js';
import { Anchoring } from './anchoring.service.js';
import { AnchorFollower } from './follower.service.js';

/** Looks in ANCHOR_SECONDS: an anchor is late by one of them at most. */
const LOOKS = 12;
const LONGEST_PAUSE_MS = 5_000;

/** Anchors this hospital's ledger and follows the others', in one process of those that have WORKER on. */
@Injectable()
export class AnchorsDriver implements OnApplicationBootstrap, BeforeApplicationShutdown {
  readonly #lead: Lead;
  readonly #stopping = new AbortController();
  #running: Promise<void> | undefined;
  #round: Promise<void> | undefined;

  constructor(
    private readonly anchoring: Anchoring,
    private readonly follower: AnchorFollower,
    @Inject(LOGGER) private readonly logger: Logger,
    @Inject(GATEWAY_ENV) private readonly env: GatewayEnv,
  ) {
    this.#lead = new Lead(env.DATABASE_URL, 'anchors');
  }

  onApplicationBootstrap(): void {
    if (this.env.WORKER) this.#running = this.#run();
  }

  /** Ends with what is in hand: a request to another hospital by its own time limit. */
  async beforeApplicationShutdown(): Promise<void> {
    this.#stopping.abort();
    this.follower.stop();
    await this.#running;
    await this.#round;
    await this.#lead.release();
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    const pauseMs = Math.min(LONGEST_PAUSE_MS, (this.env.ANCHOR_SECONDS * 1000) / LOOKS);
    while (!signal.aborted) {
      await this.#look().catch((error: unknown) => {
        this.logger.warn({ err: error }, 'anchoring failed and is tried again');
      });
      await sleep(pauseMs, undefined, { signal, ref: false }).catch(() => undefined);
    }
  }

  async #look(): Promise<void> {
    if (!(await this.#lead.held())) return;
    // Another hospital's gateway that takes its time holds up no anchor of this one.
    this.#round ??= this.follower
      .round()
      .catch((error: unknown) =>
        this.logger.warn({ err: error }, 'following the anchors of others failed and is tried again'),
      )
      .finally(() => {
        this.#round = undefined;
      });
    await this.anchoring.tick();
  }
}
