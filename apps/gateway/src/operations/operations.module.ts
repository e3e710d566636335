import { Module } from '@nestjs/common';
import { IntentSigner } from './intent.signer.js';
import { OperationAccess } from './operation-access.service.js';
import { OperationsController } from './operations.controller.js';
import { OperationsService } from './operations.service.js';
import { OperationsStore } from './operations.store.js';
import { QueueDepth } from './queue-depth.js';

@Module({
  controllers: [OperationsController],
  providers: [OperationsService, OperationAccess, OperationsStore, IntentSigner, QueueDepth],
  exports: [OperationsService],
})
export class OperationsModule {}
