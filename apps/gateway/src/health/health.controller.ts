import { Controller, Get, Header } from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import { Route } from '../http/route.decorator.js';
import { type HealthBody, healthSchema } from './health.schema.js';
import { HealthService } from './health.service.js';

/** What anybody may know; the details are on the management port. */
@ApiTags('health')
@Controller('health')
export class HealthController {
  constructor(private readonly health: HealthService) {}

  @Get('live')
  @Header('Cache-Control', 'no-cache')
  @Route({ summary: 'The process runs', roles: 'public', success: { 200: healthSchema } })
  live(): HealthBody {
    return { status: 'ok' };
  }

  @Get('ready')
  @Header('Cache-Control', 'no-cache')
  @Route({
    summary: 'Requests can be answered',
    description: '`degraded`: acts are accepted, but a node or the mirror is behind or out of reach.',
    roles: 'public',
    success: { 200: healthSchema },
  })
  async ready(): Promise<HealthBody> {
    return { status: (await this.health.details()).status };
  }
}
