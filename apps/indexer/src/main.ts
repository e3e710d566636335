import 'reflect-metadata';
import { setFlagsFromString } from 'node:v8';
import { ConsoleLogger, type LogLevel } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { parseEnv } from '../../../libs/platform/src/env.js';
import { indexerEnv } from './indexer.env.js';
import { indexerModule } from './indexer.module.js';

// A backfill's pages die old: V8 would let their garbage grow to four times what lives before it looks. Twice costs little and saves some 80 MB.
setFlagsFromString('--heap-growing-percent=100');

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
