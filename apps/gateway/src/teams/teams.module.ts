import { Module } from '@nestjs/common';
import { OperationsModule } from '../operations/operations.module.js';
import { TeamsController } from './teams.controller.js';
import { TeamsService } from './teams.service.js';
import { TeamsStore } from './teams.store.js';

@Module({ imports: [OperationsModule], controllers: [TeamsController], providers: [TeamsService, TeamsStore] })
export class TeamsModule {}
