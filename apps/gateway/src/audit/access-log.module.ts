import { Module } from '@nestjs/common';
import { AccessLog } from './access-log.service.js';
import { AccessLogStore } from './access-log.store.js';

@Module({ providers: [AccessLog, AccessLogStore], exports: [AccessLog] })
export class AccessLogModule {}
