import { Module } from '@nestjs/common';
import { NetworksModule } from '../networks/networks.module.js';
import { SignersModule } from '../signers/signers.module.js';
import { HealthController } from './health.controller.js';
import { HealthService } from './health.service.js';

@Module({
  imports: [NetworksModule, SignersModule],
  controllers: [HealthController],
  providers: [HealthService],
  exports: [HealthService],
})
export class HealthModule {}
