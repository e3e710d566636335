import { Module } from '@nestjs/common';
import { EmrsModule } from '../emrs/emrs.module.js';
import { PolicyModule } from '../policy/policy.module.js';
import { AccessLogModule } from './access-log.module.js';
import { AuditController } from './audit.controller.js';
import { AuditService } from './audit.service.js';
import { AuditStore } from './audit.store.js';

@Module({
  imports: [AccessLogModule, EmrsModule, PolicyModule],
  controllers: [AuditController],
  providers: [AuditService, AuditStore],
  exports: [AuditStore],
})
export class AuditModule {}
