import { Controller, Get, Header, HttpCode, Inject, Res } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { IndexerService } from '../indexer.service.js';
import { IndexerMetrics } from './metrics.js';

@Controller()
export class HealthController {
  constructor(
    @Inject(IndexerService) private readonly indexer: IndexerService,
    @Inject(IndexerMetrics) private readonly metrics: IndexerMetrics,
  ) {}

  /** The process runs; a stopped network is no reason to restart it. */
  @Get('health/live')
  @HttpCode(200)
  live(): { status: 'live' } {
    return { status: 'live' };
  }

  /** 200 when every network is followed, or stood by for; 503 while starting and when a network is stopped or out of reach. */
  @Get('health/ready')
  ready(@Res() reply: FastifyReply): void {
    const health = this.indexer.health();
    reply.code(health.status === 'ready' || health.status === 'standby' ? 200 : 503).send(health);
  }

  @Get('metrics')
  @Header('content-type', 'text/plain; version=0.0.4; charset=utf-8')
  scrape(): Promise<string> {
    return this.metrics.registry.metrics();
  }
}
