import {
  type BeforeApplicationShutdown,
  Global,
  Inject,
  Injectable,
  Module,
  type OnApplicationBootstrap,
} from '@nestjs/common';
import { DataSource } from 'typeorm';
import { createSubmission, type Submission } from '../../../libs/chain-client/src/submission/submission.js';
import type { Logger } from '../../../libs/platform/src/logger.js';
import type { NetworksConfig } from '../../../libs/platform/src/networks.js';
import { LOGGER, NETWORKS, SUBMISSION } from './core.tokens.js';
import { GATEWAY_ENV, type GatewayEnv } from './gateway.env.js';
import { Keystores } from './keys/keystores.js';

/** Runs the write path with the application. It stops before the HTTP server does, so that those who wait get their 202. */
@Injectable()
class SubmissionLife implements OnApplicationBootstrap, BeforeApplicationShutdown {
  constructor(@Inject(SUBMISSION) private readonly submission: Submission) {}

  onApplicationBootstrap(): Promise<void> {
    return this.submission.start();
  }

  beforeApplicationShutdown(): Promise<void> {
    return this.submission.stop();
  }
}

function submissionOf(
  env: GatewayEnv,
  logger: Logger,
  networks: NetworksConfig,
  dataSource: DataSource,
  keys: Keystores,
): Submission {
  return createSubmission({
    dataSource,
    databaseUrl: env.DATABASE_URL,
    queueUrl: env.QUEUE_URL ?? env.DATABASE_URL,
    hospitalId: env.HOSPITAL_ID,
    networks: networks.networks,
    signers: keys.relayers,
    logger,
    worker: env.WORKER,
    ...(env.FAILPOINT === undefined ? {} : { failpoint: env.FAILPOINT }),
  });
}

/** The write path: accepts acts in every process, signs and sends them where WORKER is on. */
@Global()
@Module({
  providers: [
    { provide: SUBMISSION, inject: [GATEWAY_ENV, LOGGER, NETWORKS, DataSource, Keystores], useFactory: submissionOf },
    SubmissionLife,
  ],
  exports: [SUBMISSION],
})
export class WorkerModule {}
