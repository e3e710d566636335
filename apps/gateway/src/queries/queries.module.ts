import { Module } from '@nestjs/common';
import { ContentsModule } from '../contents/contents.module.js';
import { EmrsModule } from '../emrs/emrs.module.js';
import { OperationsModule } from '../operations/operations.module.js';
import { ForeignContentModule } from '../peering/content/foreign-content.module.js';
import { QueriesController } from './queries.controller.js';
import { QueriesService } from './queries.service.js';
import { QueriesStore } from './queries.store.js';

@Module({
  imports: [ContentsModule, EmrsModule, ForeignContentModule, OperationsModule],
  controllers: [QueriesController],
  providers: [QueriesService, QueriesStore],
  exports: [QueriesService],
})
export class QueriesModule {}
