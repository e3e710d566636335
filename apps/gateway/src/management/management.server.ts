import type { AddressInfo } from 'node:net';
import { createBullBoard } from '@bull-board/api';
import { BullMQAdapter } from '@bull-board/api/bullMQAdapter';
import type { IServerAdapter } from '@bull-board/api/typings/app';
import { FastifyAdapter } from '@bull-board/fastify';
import { Inject, Injectable, type OnApplicationBootstrap, type OnApplicationShutdown } from '@nestjs/common';
import { type FastifyInstance, fastify } from 'fastify';
import type { Submission } from '../../../../libs/chain-client/src/submission/submission.js';
import { problemDocument } from '../../../../libs/platform/src/errors.js';
import type { Logger } from '../../../../libs/platform/src/logger.js';
import { toProblem } from '../../../../libs/platform/src/problem.filter.js';
import { LOGGER, SUBMISSION } from '../core.tokens.js';
import { GATEWAY_ENV, type GatewayEnv } from '../gateway.env.js';
import { HealthService } from '../health/health.service.js';
import { Metrics } from './metrics.js';

/**
 * The port for operators: metrics, queues (to look at, not to touch), health in detail. It authenticates nobody, so it listens on
 * the loopback unless MANAGEMENT_HOST says otherwise.
 */
@Injectable()
export class ManagementServer implements OnApplicationBootstrap, OnApplicationShutdown {
  #server: FastifyInstance | undefined;

  constructor(
    @Inject(GATEWAY_ENV) private readonly env: GatewayEnv,
    @Inject(LOGGER) private readonly logger: Logger,
    private readonly metrics: Metrics,
    private readonly health: HealthService,
    @Inject(SUBMISSION) private readonly submission: Submission,
  ) {}

  /** The port it listens on, which PORT 0 leaves to the system. */
  get port(): number {
    const address = this.#server?.server.address() as AddressInfo | null | undefined;
    return address?.port ?? 0;
  }

  async onApplicationBootstrap(): Promise<void> {
    const server = fastify({ forceCloseConnections: true });
    this.#server = server;
    server.setErrorHandler((error, request, reply) => {
      const problem = toProblem(error);
      return reply
        .code(problem.status)
        .type('application/problem+json')
        .send(JSON.stringify(problemDocument(problem, request.id)));
    });
    server.get('/metrics', async (_request, reply) => {
      void reply.type(this.metrics.registry.contentType);
      return this.metrics.registry.metrics();
    });
    server.get('/health/live', async () => ({ status: 'ok' }));
    server.get('/health/ready', () => this.health.details());
    await this.#mountBoard(server);
    await server.listen({ host: this.env.MANAGEMENT_HOST, port: this.env.MANAGEMENT_PORT });
    this.logger.info({ port: this.port }, 'management port is open');
  }

  async onApplicationShutdown(): Promise<void> {
    await this.#server?.close();
  }

  async #mountBoard(server: FastifyInstance): Promise<void> {
    const adapter = new FastifyAdapter();
    adapter.setBasePath('/queues');
    createBullBoard({
      queues: [new BullMQAdapter(this.submission.doorbell.queue, { readOnlyMode: true, allowRetries: false })],
      // The adapter's typings lag behind the interface's by a patch version.
      serverAdapter: adapter as unknown as IServerAdapter,
      options: { uiConfig: { boardTitle: `Queues of ${this.env.HOSPITAL_SLUG}` } },
    });
    // The board's API is refused anything but looking, whatever its own read-only mode lets through.
    await server.register(async (scope) => {
      scope.addHook('onRequest', async (request, reply) => {
        if (request.method !== 'GET' && request.method !== 'HEAD')
          await reply.code(405).header('allow', 'GET, HEAD').send();
      });
      await scope.register(adapter.registerPlugin(), { prefix: '/queues' });
    });
  }
}
