import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { SwaggerModule } from '@nestjs/swagger';
import type { FastifyInstance } from 'fastify';
import type { Submission } from '../../../libs/chain-client/src/submission/submission.js';
import { type Logger, nestLogger } from '../../../libs/platform/src/logger.js';
import { ProblemFilter } from '../../../libs/platform/src/problem.filter.js';
import { appModule } from './app.module.js';
import { Authenticator } from './auth/authenticator.js';
import { SUBMISSION } from './core.tokens.js';
import type { GatewayEnv } from './gateway.env.js';
import { type Edge, installEdge, serverOptions } from './http/edge.js';
import { InputPipe } from './http/input.pipe.js';
import { installBodyParser } from './http/json-body.js';
import { buildDocument } from './http/openapi.js';
import { shedActs } from './http/shedding.js';
import { Metrics } from './management/metrics.js';

export interface Gateway {
  app: NestFastifyApplication;
  edge: Edge;
}

/** The whole public application, initialised but not listening. The database must be migrated. */
export async function createGateway(env: GatewayEnv, logger: Logger): Promise<Gateway> {
  const adapter = new FastifyAdapter(
    serverOptions(logger, env.TRUSTED_PROXIES) as ConstructorParameters<typeof FastifyAdapter>[0],
  );
  const app = await NestFactory.create<NestFastifyApplication>(appModule(env, logger), adapter, {
    bodyParser: false,
    logger: nestLogger(logger),
    abortOnError: false,
  });
  const instance = adapter.getInstance() as unknown as FastifyInstance;
  const authenticator = app.get(Authenticator);
  const metrics = app.get(Metrics);
  const submission = app.get<Submission>(SUBMISSION);
  const edge = installEdge(instance, {
    logger,
    ratePerMinute: env.RATE_LIMIT_PER_MINUTE,
    contentLimit: env.CONTENT_LIMIT_BYTES,
    authenticate: (request) => authenticator.authenticate(request),
    isKnown: (request) => authenticator.isKnown(request),
    observe: (route, method, status, seconds) => metrics.observeRequest(route, method, status, seconds),
  });
  installBodyParser(instance);
  app.useGlobalPipes(new InputPipe());
  app.useGlobalFilters(new ProblemFilter(logger));
  const document = buildDocument(app, { title: `EMR Gateway of ${env.HOSPITAL_SLUG}`, url: env.PUBLIC_URL });
  SwaggerModule.setup('docs', app, document, {
    jsonDocumentUrl: 'openapi.json',
    raw: ['json'],
  });
  await app.init();
  await instance.ready();
  shedActs(instance.server, {
    crowded: () => submission.networks.some(({ name }) => submission.crowded(name)),
    onRefused: () => metrics.observeRequest('refused before its route', 'POST', 503, 0),
  });
  return { app, edge };
}
