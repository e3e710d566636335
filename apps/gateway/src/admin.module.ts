import { Module } from '@nestjs/common';
import { ActorsModule } from './actors/actors.module.js';
import { HospitalsModule } from './hospitals/hospitals.module.js';
import { NetworksModule } from './networks/networks.module.js';
import { PeersModule } from './peers/peers.module.js';
import { SignersModule } from './signers/signers.module.js';
import { TeamsModule } from './teams/teams.module.js';
import { UsersModule } from './users/users.module.js';
import { WebhooksModule } from './webhooks/webhooks.module.js';

/** Everything under /v1/admin. */
@Module({
  imports: [
    ActorsModule,
    HospitalsModule,
    NetworksModule,
    PeersModule,
    SignersModule,
    TeamsModule,
    UsersModule,
    WebhooksModule,
  ],
})
export class AdminModule {}
