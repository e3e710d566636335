import { Module } from '@nestjs/common';
import { PeeringModule } from '../peering/peering.module.js';
import { AnchorViews } from './anchor-views.service.js';
import { Anchoring } from './anchoring.service.js';
import { AnchoringStore } from './anchoring.store.js';
import { AnchorsDriver } from './anchors.driver.js';
import { AnchorsMetrics } from './anchors.metrics.js';
import { FollowStore } from './follow.store.js';
import { AnchorFollower } from './follower.service.js';
import { AnchorIncidents } from './incidents.service.js';
import { IncidentsStore } from './incidents.store.js';
import { LedgerClient } from './ledger.client.js';
import { LedgerPeer } from './ledger.peer.js';

/** Anchors of this hospital's own ledger on the global one, and the other hospitals' ledgers held against theirs. */
@Module({
  imports: [PeeringModule],
  providers: [
    Anchoring,
    AnchoringStore,
    AnchorsDriver,
    AnchorsMetrics,
    AnchorFollower,
    AnchorIncidents,
    AnchorViews,
    FollowStore,
    IncidentsStore,
    LedgerClient,
    LedgerPeer,
  ],
  exports: [AnchorViews],
})
export class AnchorsModule {}
