import { type DynamicModule, Module } from '@nestjs/common';
import type { Logger } from '../../../libs/platform/src/logger.js';
import { AdminModule } from './admin.module.js';
import { AuthModule } from './auth/auth.module.js';
import { coreModule } from './core.module.js';
import { FeaturesModule } from './features.module.js';
import type { GatewayEnv } from './gateway.env.js';
import { HealthModule } from './health/health.module.js';
import { ManagementModule } from './management/management.module.js';
import { OperationsModule } from './operations/operations.module.js';
import { WorkerModule } from './worker.module.js';

@Module({
  imports: [AuthModule, WorkerModule, OperationsModule, HealthModule, ManagementModule, AdminModule, FeaturesModule],
})
class AppModule {}

export function appModule(env: GatewayEnv, logger: Logger): DynamicModule {
  return { module: AppModule, imports: [coreModule(env, logger)] };
}
