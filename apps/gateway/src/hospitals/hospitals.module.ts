import { Module } from '@nestjs/common';
import { OperationsModule } from '../operations/operations.module.js';
import { HospitalsController } from './hospitals.controller.js';
import { HospitalsService } from './hospitals.service.js';
import { HospitalStore } from './hospitals.store.js';

@Module({
  imports: [OperationsModule],
  controllers: [HospitalsController],
  providers: [HospitalsService, HospitalStore],
})
export class HospitalsModule {}
