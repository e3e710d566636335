import { type DynamicModule, Module } from '@nestjs/common';
import { readNetworks } from '../../../libs/platform/src/networks.js';
import { HealthController } from './health/health.controller.js';
import { IndexerMetrics } from './health/metrics.js';
import type { IndexerEnv } from './indexer.env.js';
import { IndexerService } from './indexer.service.js';

@Module({ controllers: [HealthController], providers: [IndexerMetrics] })
export class IndexerModule {}

/** The module with what its environment says. */
export function indexerModule(env: IndexerEnv): DynamicModule {
  return {
    module: IndexerModule,
    providers: [
      {
        provide: IndexerService,
        inject: [IndexerMetrics],
        useFactory: (metrics: IndexerMetrics) =>
          new IndexerService(env.DATABASE_URL, readNetworks(env.NETWORKS_FILE), metrics, {
            trustNode: env.VERIFICATION === 'off',
            failpoint: env.FAILPOINT,
            partitionEvents: env.MIRROR_PARTITION_EVENTS,
          }),
      },
    ],
  };
}
