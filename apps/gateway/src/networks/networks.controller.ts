import { Controller, Get } from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import { Route } from '../http/route.decorator.js';
import { type NetworkBody, networkListSchema } from './network.schema.js';
import { NetworksService } from './networks.service.js';

@ApiTags('admin')
@Controller('v1/admin/networks')
export class NetworksController {
  constructor(private readonly networks: NetworksService) {}

  @Get()
  @Route({
    summary: 'The networks: heads, lag, peers, finality',
    look: 'networks',
    roles: ['admin', 'auditor'],
    success: { 200: networkListSchema },
  })
  async list(): Promise<{ items: NetworkBody[] }> {
    return { items: await this.networks.list() };
  }
}
