import { Module } from '@nestjs/common';
import { AccessLogModule } from '../audit/access-log.module.js';
import { IntentSigner } from './intent.signer.js';
import { OperationAccess } from './operation-access.service.js';
import { OperationsController } from './operations.controller.js';
import { OperationsService } from './operations.service.js';
import { OperationsStore } from './operations.store.js';
import { QueueDepth } from './queue-depth.js';

@Module({
  imports: [AccessLogModule],
  controllers: [OperationsController],
  providers: [OperationsService, OperationAccess, OperationsStore, IntentSigner, QueueDepth],
  exports: [OperationsService],
})
export class OperationsModule {}
