import { type BeforeApplicationShutdown, Inject, Injectable, type OnApplicationBootstrap } from '@nestjs/common';
import type { Logger } from '../../../../libs/platform/src/logger.js';
import { signRequest } from '../../../../libs/vault/src/http-signatures.js';
import { Vault } from '../../../../libs/vault/src/vault.js';
import { EventFeed } from '../audit/event-feed.service.js';
import { LOGGER } from '../core.tokens.js';
import { GATEWAY_ENV, type GatewayEnv } from '../gateway.env.js';
import { type DueWebhook, WebhooksStore } from './webhooks.store.js';

/** How often receivers are looked after. */
const ROUND_MS = 500;
const PAGE = 100;
/** A receiver that says nothing for this long counts as down. */
const TIMEOUT_MS = 10_000;
/** Longer than one page may take, so that one process at a time delivers. */
const LEASE_S = 30;
const AT_ONCE = 8;
/** After so many pages others get their turn. */
const MOST_PAGES = 50;
const TAG = 'emr-gateway-webhook';

/**
 * Tells receivers of final events. The cursor moves after the receiver's 2xx: a process that dies between the two leaves the event to be
 * told again, so each is told at least once, in order. Nothing is written where an act is confirmed: the mirror is the outbox.
 */
@Injectable()
export class WebhookDeliveries implements OnApplicationBootstrap, BeforeApplicationShutdown {
  readonly #stopping = new AbortController();
  readonly #running = new Set<Promise<void>>();
  #timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly store: WebhooksStore,
    private readonly events: EventFeed,
    private readonly vault: Vault,
    @Inject(GATEWAY_ENV) private readonly env: Pick<GatewayEnv, 'HOSPITAL_ID' | 'WORKER'>,
    @Inject(LOGGER) private readonly logger: Logger,
  ) {}

  onApplicationBootstrap(): void {
    if (!this.env.WORKER) return;
    const round = () =>
      this.#round()
        .catch((error: unknown) => this.logger.debug({ err: error }, 'webhooks could not be read; tried again soon'))
        .finally(() => {
          if (!this.#stopping.signal.aborted) this.#timer = setTimeout(round, ROUND_MS).unref();
        });
    this.#timer = setTimeout(round, 0).unref();
  }

  async beforeApplicationShutdown(): Promise<void> {
    this.#stopping.abort();
    clearTimeout(this.#timer);
    await Promise.all(this.#running);
  }

  /** A slow receiver holds up no other: it isn't waited for. */
  async #round(): Promise<void> {
    const free = AT_ONCE - this.#running.size;
    if (free <= 0) return;
    for (const webhook of await this.store.claim(LEASE_S, free)) {
      const delivery = this.#deliver(webhook)
        .catch((error: unknown) =>
          this.logger.warn({ err: error, webhook: webhook.id }, 'A webhook waits for its lease to end.'),
        )
        .finally(() => this.#running.delete(delivery));
      this.#running.add(delivery);
    }
  }

  async #deliver(webhook: DueWebhook): Promise<void> {
    for (let pages = 0; pages < MOST_PAGES; ) {
      const owed = await this.store.owed(webhook.id);
      if (owed.length === 0) break;
      for (const { network, sequence, final } of owed) {
        if (this.#stopping.signal.aborted) return this.store.rest(webhook.id, 0);
        pages += 1;
        const events = await this.events.after(network, sequence, final, webhook.types ?? undefined, PAGE);
        if (events.length > 0) {
          const failure = await this.#post(webhook, { webhookId: webhook.id, events });
          if (failure !== undefined) return this.store.failed(webhook.id, failure);
        }
        const through = events.length < PAGE ? final : events[events.length - 1]!.sequence;
        if (!(await this.store.advance(webhook.id, network, sequence, through, LEASE_S))) return;
      }
    }
    await this.store.rest(webhook.id, 0);
  }

  /** @returns what went wrong, as a code without anything of the answer */
  async #post({ id, url }: DueWebhook, content: unknown): Promise<string | undefined> {
    const body = Buffer.from(JSON.stringify(content));
    const headers = { 'content-type': 'application/json' };
    const signature = signRequest(
      { method: 'POST', url, headers, body },
      {
        ...{ keyId: String(this.env.HOSPITAL_ID), recipient: id, tag: TAG },
        sign: (message) => this.vault.sign(message),
      },
    );
    const timeout = AbortSignal.timeout(TIMEOUT_MS);
    try {
      const response = await fetch(url, {
        ...{ method: 'POST', headers: { ...headers, ...signature }, body: new Uint8Array(body) },
        redirect: 'manual', // it would be followed with a signature made for another place
        signal: AbortSignal.any([timeout, this.#stopping.signal]),
      });
      await response.body?.cancel();
      return response.ok ? undefined : `HTTP_${response.status}`;
    } catch {
      return timeout.aborted ? 'TIMEOUT' : 'UNREACHABLE';
    }
  }
}
