import { Global, Module } from '@nestjs/common';
import { AccessLogController } from './access-log.controller.js';
import { AccessLog } from './access-log.service.js';
import { AccessLogStore } from './access-log.store.js';
import { AccessLogChain } from './access-log-chain.service.js';
import { AccessLogChainStore } from './access-log-chain.store.js';
import { AccessLogLinker } from './access-log-linker.js';
import { AccessLogMetrics } from './access-log-metrics.js';

/** Global, so that `@Route({ look })` works in every feature. */
@Global()
@Module({
  controllers: [AccessLogController],
  providers: [AccessLog, AccessLogStore, AccessLogChain, AccessLogChainStore, AccessLogLinker, AccessLogMetrics],
  exports: [AccessLog, AccessLogChain],
})
export class AccessLogModule {}
