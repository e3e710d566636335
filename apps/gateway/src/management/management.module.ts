import { Module } from '@nestjs/common';
import { HealthModule } from '../health/health.module.js';
import { ManagementServer } from './management.server.js';
import { WritePathMetrics } from './write-path.metrics.js';
import { WritePathStore } from './write-path.store.js';

@Module({
  imports: [HealthModule],
  providers: [ManagementServer, WritePathMetrics, WritePathStore],
  exports: [ManagementServer],
})
export class ManagementModule {}
