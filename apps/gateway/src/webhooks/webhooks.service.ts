import { randomUUID } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import { ProblemError } from '../../../../libs/platform/src/errors.js';
import type { Logger } from '../../../../libs/platform/src/logger.js';
import { Vault } from '../../../../libs/vault/src/vault.js';
import type { Caller } from '../auth/caller.js';
import { LOGGER } from '../core.tokens.js';
import { toInstant } from '../http/fields.js';
import type { NewWebhook, WebhookBody } from './webhooks.schema.js';
import { type WebhookRow, WebhooksStore } from './webhooks.store.js';

/** Receivers that are told of events. */
@Injectable()
export class WebhooksService {
  constructor(
    private readonly store: WebhooksStore,
    private readonly vault: Vault,
    @Inject(LOGGER) private readonly logger: Logger,
  ) {}

  async list(): Promise<WebhookBody[]> {
    return (await this.store.list()).map((row) => this.#present(row));
  }

  async add({ principal }: Caller, { url, types, from }: NewWebhook): Promise<WebhookBody> {
    const id = randomUUID();
    await this.store.add(id, url, types, from, principal);
    this.logger.info({ webhook: id }, 'A webhook was added.');
    const [row] = await this.store.list(id);
    if (!row) throw new ProblemError('CONFLICT', { detail: 'The webhook was removed meanwhile.' });
    return this.#present(row);
  }

  /** @throws ProblemError NOT_FOUND */
  async remove({ principal }: Caller, id: string): Promise<void> {
    if (!(await this.store.remove(id, principal))) {
      throw new ProblemError('NOT_FOUND', { detail: 'There is no such webhook. GET /v1/admin/webhooks lists them.' });
    }
    this.logger.info({ webhook: id }, 'A webhook was removed.');
  }

  #present(row: WebhookRow): WebhookBody {
    return {
      id: row.id,
      url: row.url,
      types: row.types,
      createdAt: toInstant(row.created_at),
      delivered: row.delivered,
      behind: Number(row.behind),
      failingSince: row.failing_since && toInstant(row.failing_since),
      lastFailure: row.last_failure,
      nextAttemptAt: toInstant(row.next_at),
      publicKey: this.vault.identityPublicKey.toString('base64'),
    };
  }
}
