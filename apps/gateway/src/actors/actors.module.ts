import { Module } from '@nestjs/common';
import { OperationsModule } from '../operations/operations.module.js';
import { ActorsController } from './actors.controller.js';
import { ActorsService } from './actors.service.js';
import { ActorsStore } from './actors.store.js';

@Module({
  imports: [OperationsModule],
  controllers: [ActorsController],
  providers: [ActorsService, ActorsStore],
})
export class ActorsModule {}
