import { Module } from '@nestjs/common';
import { AnchorsModule } from '../anchors/anchors.module.js';
import { EmrsModule } from '../emrs/emrs.module.js';
import { NetworksModule } from '../networks/networks.module.js';
import { PolicyModule } from '../policy/policy.module.js';
import { AccessLogModule } from './access-log.module.js';
import { AccessLogExportService } from './access-log-export.service.js';
import { AuditController } from './audit.controller.js';
import { AuditService } from './audit.service.js';
import { AuditStore } from './audit.store.js';
import { EventFeed } from './event-feed.service.js';
import { ExportController } from './export.controller.js';
import { ExportService } from './export.service.js';
import { ExportStore } from './export.store.js';
import { HistoryService } from './history.service.js';
import { ProofController } from './proof.controller.js';
import { ProofService } from './proof.service.js';
import { ProofStore } from './proof.store.js';

@Module({
  imports: [AccessLogModule, AnchorsModule, EmrsModule, NetworksModule, PolicyModule],
  controllers: [AuditController, ExportController, ProofController],
  providers: [
    AuditService,
    AuditStore,
    AccessLogExportService,
    EventFeed,
    ExportService,
    ExportStore,
    HistoryService,
    ProofService,
    ProofStore,
  ],
  exports: [EventFeed],
})
export class AuditModule {}
