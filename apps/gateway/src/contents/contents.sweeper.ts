import { Inject, Injectable, Logger, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { GATEWAY_ENV, type GatewayEnv } from '../gateway.env.js';
import { ContentsStore } from './contents.store.js';
import { RecordContentsStore } from './record-contents.store.js';

const PERIOD_MS = 5_000;

/** Removes uploads that expired, and what refused acts left behind. Any number of gateways may sweep at once. */
@Injectable()
export class ContentsSweeper implements OnApplicationBootstrap, OnModuleDestroy {
  readonly #log = new Logger(ContentsSweeper.name);
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;

  constructor(
    private readonly contents: ContentsStore,
    private readonly recordContents: RecordContentsStore,
    @Inject(GATEWAY_ENV) private readonly env: GatewayEnv,
  ) {}

  onApplicationBootstrap(): void {
    this.#timer = setInterval(() => {
      this.#running ??= this.sweep()
        .catch((error: unknown) => this.#log.warn(error))
        .finally(() => {
          this.#running = undefined;
        });
    }, PERIOD_MS).unref();
  }

  async onModuleDestroy(): Promise<void> {
    clearInterval(this.#timer);
    await this.#running;
  }

  async sweep(): Promise<void> {
    await this.contents.removeExpired();
    await this.recordContents.settle(this.env.HOSPITAL_ID);
  }
}
