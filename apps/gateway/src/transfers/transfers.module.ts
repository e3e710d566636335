import { Module } from '@nestjs/common';
import { ContentsModule } from '../contents/contents.module.js';
import { EmrsModule } from '../emrs/emrs.module.js';
import { GrantsModule } from '../grants/grants.module.js';
import { OperationsModule } from '../operations/operations.module.js';
import { PeeringModule } from '../peering/peering.module.js';
import { PolicyModule } from '../policy/policy.module.js';
import { ReceivedCopies } from './received-copies.service.js';
import { SagaActs } from './saga/saga.acts.js';
import { SagaDriver } from './saga/saga.driver.js';
import { SagaFacts } from './saga/saga.facts.js';
import { SagaRunner } from './saga/saga.runner.js';
import { SagaStore } from './saga/saga.store.js';
import { TransferDelivery } from './transfer-delivery.js';
import { TransferPackages } from './transfer-packages.service.js';
import { TransferTakeover } from './transfer-takeover.service.js';
import { TransferViews } from './transfer-views.service.js';
import { TransfersController } from './transfers.controller.js';
import { TransfersPeer } from './transfers.peer.js';
import { TransfersService } from './transfers.service.js';
import { TransfersStore } from './transfers.store.js';

@Module({
  imports: [ContentsModule, EmrsModule, GrantsModule, OperationsModule, PeeringModule, PolicyModule],
  controllers: [TransfersController],
  providers: [
    TransfersService,
    TransfersStore,
    TransferViews,
    TransferPackages,
    TransferDelivery,
    TransferTakeover,
    ReceivedCopies,
    TransfersPeer,
    SagaStore,
    SagaFacts,
    SagaActs,
    SagaRunner,
    SagaDriver,
  ],
})
export class TransfersModule {}
