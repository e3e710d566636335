import { Module } from '@nestjs/common';
import { NetworksModule } from '../networks/networks.module.js';
import { NodePeersService } from './node-peers.service.js';
import { PeersController } from './peers.controller.js';
import { PeersStore } from './peers.store.js';

@Module({ imports: [NetworksModule], controllers: [PeersController], providers: [NodePeersService, PeersStore] })
export class PeersModule {}
