import { Inject, Injectable } from '@nestjs/common';
import { toHex } from '../../../../libs/platform/src/bytes.js';
import type { NetworksConfig } from '../../../../libs/platform/src/networks.js';
import { NETWORKS } from '../core.tokens.js';
import { GATEWAY_ENV, type GatewayEnv } from '../gateway.env.js';
import { toInstant } from '../http/fields.js';
import type { Anchor } from './anchor.rows.js';
import { Anchoring } from './anchoring.service.js';
import { AnchoringStore } from './anchoring.store.js';
import type { AnchoredLedger } from './anchors.schema.js';
import { FollowStore, type Line } from './follow.store.js';
import { AnchorIncidents } from './incidents.service.js';
import type { Incident } from './incidents.store.js';

interface Point {
  block: string;
  sequence: string;
}

/** What audit answers say about anchors. */
@Injectable()
export class AnchorViews {
  constructor(
    private readonly anchoring: Anchoring,
    private readonly store: AnchoringStore,
    private readonly follow: FollowStore,
    private readonly incidents: AnchorIncidents,
    @Inject(NETWORKS) private readonly networks: NetworksConfig,
    @Inject(GATEWAY_ENV) private readonly env: GatewayEnv,
  ) {}

  /**
   * Up to where other hospitals can tell each network's history: the hospital's own by its last anchor; the global one they hold themselves, as
   * far as it is final (`confirmed`). null: nowhere yet.
   */
  async through(confirmed: Record<string, Point>): Promise<Record<string, Point | null>> {
    const { local, global } = this.networks;
    const last = local === global ? undefined : await this.anchoring.lastAnchor();
    const anchored = last ? { block: String(last.localBlock), sequence: String(last.localSequence) } : null;
    return Object.fromEntries(
      Object.entries(confirmed).map(([network, point]) => [
        network,
        network === global ? point : network === local ? anchored : null,
      ]),
    );
  }

  /** Every hospital's own ledger, as anchored and as held against its anchors here. */
  async ledgers(): Promise<AnchoredLedger[]> {
    const { global } = this.networks;
    const [lines, unresolved] = await Promise.all([this.follow.lines(global), this.incidents.unresolved(global)]);
    const ledgers = await Promise.all(lines.map((line) => this.#ledger(line, unresolved)));
    return ledgers.filter((ledger) => ledger !== undefined);
  }

  async #ledger(line: Line, unresolved: Incident[]): Promise<AnchoredLedger | undefined> {
    const { global } = this.networks;
    const { hospital, chainId } = line;
    const [last, followed] = await Promise.all([
      this.store.lastAnchor(global, hospital, chainId),
      this.follow.followed(global, line),
    ]);
    if (!last) return undefined; // none is final yet
    const incidents = unresolved.filter((one) => one.hospital === hospital && one.chainId === chainId);
    const through =
      followed.anchorSequence === 0n ? undefined : await this.follow.anchorAt(global, followed.anchorSequence);
    const own = hospital === this.env.HOSPITAL_ID;
    const caughtUp = followed.anchorSequence === last.sequence;
    return {
      hospital,
      chainId: String(chainId),
      state: incidents.length > 0 ? 'broken' : own ? 'own' : caughtUp ? 'verified' : 'waiting',
      lastAnchor: {
        event: `ev_${global}_${last.sequence}`,
        time: toInstant(last.blockTime),
        block: String(last.localBlock),
        blockHash: toHex(last.localBlockHash),
        sequence: String(last.localSequence),
        head: toHex(last.localHead),
        accessSequence: String(last.accessSequence),
        accessHead: toHex(last.accessHead),
      },
      verifiedThrough: verifiedThrough(through, incidents),
      answeredAt: followed.answeredAt && toInstant(followed.answeredAt),
      problem: followed.problem,
      incidents: incidents.map((incident) => this.#incident(incident)),
    };
  }

  #incident(incident: Incident): AnchoredLedger['incidents'][number] {
    return {
      kind: incident.kind,
      hospital: incident.hospital,
      block: String(incident.localBlock),
      sequence: String(incident.localSequence),
      anchor: `ev_${this.networks.global}_${incident.anchorSequence}`,
      anchored: toHex(incident.anchored),
      found: incident.found && toHex(incident.found),
      detail: incident.detail,
      since: toInstant(incident.foundAt),
    };
  }
}

/** What doesn't fold isn't verified: the last anchor that was dealt with counts only while none did so. */
function verifiedThrough(through: Anchor | undefined, incidents: Incident[]): AnchoredLedger['verifiedThrough'] {
  if (!through || incidents.some(({ kind }) => kind === 'fold')) return null;
  return { block: String(through.localBlock), sequence: String(through.localSequence) };
}
