import { Module } from '@nestjs/common';
import { ContentsController } from './contents.controller.js';
import { ContentsService } from './contents.service.js';
import { ContentsStore } from './contents.store.js';
import { ContentsSweeper } from './contents.sweeper.js';
import { RecordContents } from './record-contents.service.js';
import { RecordContentsStore } from './record-contents.store.js';

@Module({
  controllers: [ContentsController],
  providers: [ContentsService, ContentsStore, ContentsSweeper, RecordContents, RecordContentsStore],
  exports: [ContentsService, RecordContents],
})
export class ContentsModule {}
