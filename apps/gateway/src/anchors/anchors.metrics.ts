import { Inject, Injectable } from '@nestjs/common';
import type { NetworksConfig } from '../../../../libs/platform/src/networks.js';
import { NETWORKS } from '../core.tokens.js';
import { GATEWAY_ENV, type GatewayEnv } from '../gateway.env.js';
import { Metrics } from '../management/metrics.js';
import { Anchoring } from './anchoring.service.js';
import { FollowStore } from './follow.store.js';
import { AnchorIncidents } from './incidents.service.js';

/** Figures about anchors in /metrics. `hospital` is the number the ledger knows it by. */
@Injectable()
export class AnchorsMetrics {
  constructor(
    anchoring: Anchoring,
    follow: FollowStore,
    incidents: AnchorIncidents,
    @Inject(NETWORKS) networks: NetworksConfig,
    @Inject(GATEWAY_ENV) env: GatewayEnv,
    metrics: Metrics,
  ) {
    metrics.gauge(
      'emr_unanchored_seconds',
      'For how long the oldest act or look has waited for an anchor on the global ledger.',
      [],
      async (to) => to.set(await anchoring.age()),
    );
    metrics.gauge(
      'emr_anchor_incidents',
      'Unresolved cases of a hospital whose ledger, or access log, is not what it anchored.',
      ['hospital'],
      async (to) => {
        const unresolved = await incidents.unresolved(networks.global);
        for (const { hospital } of await follow.lines(networks.global)) {
          to.set({ hospital }, unresolved.filter((incident) => incident.hospital === hospital).length);
        }
      },
    );
    metrics.gauge(
      'emr_anchor_unverified_seconds',
      'Age of the oldest anchor of another hospital whose events were not folded yet.',
      ['hospital'],
      async (to) => {
        if (networks.local === networks.global) return;
        const lines = await follow.lines(networks.global);
        for (const line of lines.filter(({ hospital }) => hospital !== env.HOSPITAL_ID)) {
          const { anchorSequence } = await follow.followed(networks.global, line);
          const [oldest] = await follow.anchors(networks.global, line, anchorSequence, 1);
          to.set({ hospital: line.hospital }, oldest ? Math.max(0, Date.now() / 1000 - oldest.blockTime) : 0);
        }
      },
    );
  }
}
