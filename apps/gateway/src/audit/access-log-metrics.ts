import { Injectable } from '@nestjs/common';
import { Metrics } from '../management/metrics.js';
import { AccessLogChainStore } from './access-log-chain.store.js';

/** What the alarm of docs/runbook/access-log-unlinked.md stands on. Every replica reads the same tables. */
@Injectable()
export class AccessLogMetrics {
  constructor(store: AccessLogChainStore, metrics: Metrics) {
    metrics.gauge(
      'emr_access_log_unlinked_seconds',
      'Age of the oldest entry of the access log that is not in its chain.',
      [],
      async (to) => to.set((await store.figures()).oldestUnlinked),
    );
    metrics.gauge('emr_access_log_sequence', 'Entries in the chain of the access log.', [], async (to) =>
      to.set(Number((await store.head()).sequence)),
    );
  }
}
