import 'reflect-metadata';
import { ConsoleLogger, type LogLevel } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { parseEnv } from '../../../libs/platform/src/env.js';
import { indexerEnv } from './indexer.env.js';
import { indexerModule } from './indexer.module.js';

const env = parseEnv(indexerEnv, process.env);

const levels = ['error', 'warn', 'info', 'debug'];
const shown = levels.slice(0, levels.indexOf(env.LOG_LEVEL) + 1).map((level) => (level === 'info' ? 'log' : level));

const app = await NestFactory.create<NestFastifyApplication>(
  indexerModule(env),
  new FastifyAdapter({ forceCloseConnections: true }),
  { logger: new ConsoleLogger({ json: true, colors: false, logLevels: ['fatal', ...shown] as LogLevel[] }) },
);
app.enableShutdownHooks(['SIGINT', 'SIGTERM']);
await app.listen(env.MANAGEMENT_PORT, env.HOST);
