import { Module } from '@nestjs/common';
import { Records } from './records.service.js';
import { RecordsStore } from './records.store.js';

@Module({ providers: [Records, RecordsStore], exports: [Records] })
export class PolicyModule {}
