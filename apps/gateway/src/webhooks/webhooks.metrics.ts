import { Injectable } from '@nestjs/common';
import { Metrics } from '../management/metrics.js';
import { WebhooksStore } from './webhooks.store.js';

/** What the alert on receivers stands on; the worst of all of them, as labels carry no ids. */
@Injectable()
export class WebhooksMetrics {
  constructor(store: WebhooksStore, metrics: Metrics) {
    metrics.gauge('emr_webhook_failing_seconds', 'How long a receiver has refused events.', [], async (to) =>
      to.set((await store.figures()).failing_seconds),
    );
    metrics.gauge('emr_webhook_behind_events', 'Final events a receiver was not told of yet.', [], async (to) =>
      to.set((await store.figures()).behind),
    );
  }
}
