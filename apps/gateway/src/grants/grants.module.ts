import { Module } from '@nestjs/common';
import { AccessLogModule } from '../audit/access-log.module.js';
import { ContentsModule } from '../contents/contents.module.js';
import { EmrsModule } from '../emrs/emrs.module.js';
import { OperationsModule } from '../operations/operations.module.js';
import { PolicyModule } from '../policy/policy.module.js';
import { GrantsController } from './grants.controller.js';
import { GrantsService } from './grants.service.js';
import { GrantsStore } from './grants.store.js';
import { Publication } from './publication.service.js';

@Module({
  imports: [AccessLogModule, ContentsModule, EmrsModule, OperationsModule, PolicyModule],
  controllers: [GrantsController],
  providers: [GrantsService, GrantsStore, Publication],
  exports: [Publication],
})
export class GrantsModule {}
