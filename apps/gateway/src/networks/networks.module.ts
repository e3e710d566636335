import { Module } from '@nestjs/common';
import { NetworkStore } from './network.store.js';
import { NetworksController } from './networks.controller.js';
import { NetworksService } from './networks.service.js';
import { Nodes } from './nodes.js';

@Module({
  controllers: [NetworksController],
  providers: [Nodes, NetworkStore, NetworksService],
  exports: [Nodes, NetworksService],
})
export class NetworksModule {}
