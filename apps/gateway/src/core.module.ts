import { type DynamicModule, Global, Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { createDataSource } from '../../../libs/database/src/data-source.js';
import type { Logger } from '../../../libs/platform/src/logger.js';
import { readNetworks } from '../../../libs/platform/src/networks.js';
import { LOGGER, NETWORKS } from './core.tokens.js';
import { GATEWAY_ENV, type GatewayEnv } from './gateway.env.js';
import { KeysModule } from './keys/keys.module.js';
import { Metrics } from './management/metrics.js';

/** No statement of ours takes this long on a database that is well: whoever waits gets a 503 instead, and may try again. */
const STATEMENT_LIMIT_MS = 10_000;

/** What every feature may inject: `DataSource`, `Vault`, `Keystores`, `ActorKeys`, `Metrics`, GATEWAY_ENV, NETWORKS, LOGGER. */
@Global()
@Module({ imports: [KeysModule], providers: [Metrics], exports: [Metrics] })
class CoreModule {}

export function coreModule(env: GatewayEnv, logger: Logger): DynamicModule {
  const database = TypeOrmModule.forRootAsync({
    useFactory: () => ({ type: 'postgres' as const, retryAttempts: 15, retryDelay: 1_000 }),
    dataSourceFactory: async () =>
      createDataSource({
        url: env.DATABASE_URL,
        applicationName: 'emr-gateway',
        poolSize: env.DATABASE_POOL,
        statementLimitMs: STATEMENT_LIMIT_MS,
        onPoolError: (error) => logger.warn({ err: error }, 'an idle database connection was lost'),
      }),
  });
  return {
    module: CoreModule,
    imports: [database],
    providers: [
      { provide: GATEWAY_ENV, useValue: env },
      { provide: LOGGER, useValue: logger },
      { provide: NETWORKS, useFactory: () => readNetworks(env.NETWORKS_FILE) },
    ],
    exports: [GATEWAY_ENV, LOGGER, NETWORKS],
  };
}
