import { Module } from '@nestjs/common';
import { AccessLogModule } from '../audit/access-log.module.js';
import { ContentsModule } from '../contents/contents.module.js';
import { OperationsModule } from '../operations/operations.module.js';
import { PolicyModule } from '../policy/policy.module.js';
import { EmrViews } from './emr-views.service.js';
import { EmrsController } from './emrs.controller.js';
import { EmrsService } from './emrs.service.js';
import { Patients } from './patients.service.js';
import { PatientsStore } from './patients.store.js';

@Module({
  imports: [AccessLogModule, ContentsModule, OperationsModule, PolicyModule],
  controllers: [EmrsController],
  providers: [EmrsService, EmrViews, Patients, PatientsStore],
  exports: [EmrsService, Patients],
})
export class EmrsModule {}
