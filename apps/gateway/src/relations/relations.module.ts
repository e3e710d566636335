import { Module } from '@nestjs/common';
import { AccessLogModule } from '../audit/access-log.module.js';
import { OperationsModule } from '../operations/operations.module.js';
import { PolicyModule } from '../policy/policy.module.js';
import { RelationsController } from './relations.controller.js';
import { RelationsService } from './relations.service.js';
import { RelationsStore } from './relations.store.js';

@Module({
  imports: [AccessLogModule, OperationsModule, PolicyModule],
  controllers: [RelationsController],
  providers: [RelationsService, RelationsStore],
})
export class RelationsModule {}
