import { setTimeout as sleep } from 'node:timers/promises';
import { Inject, Injectable, type OnModuleInit } from '@nestjs/common';
import { toHex } from '../../../../libs/platform/src/bytes.js';
import { ProblemError } from '../../../../libs/platform/src/errors.js';
import { keccak256 } from '../../../../libs/platform/src/keccak.js';
import { type NetworkConfig, type NetworksConfig, networkOf } from '../../../../libs/platform/src/networks.js';
import { NETWORKS } from '../core.tokens.js';
import { type PeerCall, PeerListener, type PeerReply } from '../peering/peer.listener.js';
import { AnchoringStore } from './anchoring.store.js';

/** Leaves in one answer: 128 KiB. */
export const MOST_LEAVES = 4_096n;
/** Events read and hashed at once: a few milliseconds, in which nobody else is served. */
const PIECE = 256n;
/** Pause after each, in times of what it took: who works here goes before who checks from elsewhere. */
const PAUSE = 3;
/** At most, ms: sixteen of them are far less than the other side waits for its answer. */
const LONGEST_PAUSE_MS = 100;

/**
 * What other hospitals may ask of this hospital's own ledger, to hold it against its anchors: leaf hashes of events, and what a block came to.
 * Hashes alone, of salted and random contents: nothing of a record, an actor or a patient can be read from them or tried against them.
 */
@Injectable()
export class LedgerPeer implements OnModuleInit {
  readonly #local: NetworkConfig;

  constructor(
    private readonly listener: PeerListener,
    private readonly store: AnchoringStore,
    @Inject(NETWORKS) networks: NetworksConfig,
  ) {
    this.#local = networkOf(networks, 'local');
  }

  onModuleInit(): void {
    this.listener.route('GET', '/peer/v1/ledgers/:chainId/leaves/:after/:through', (call) => this.leaves(call));
    this.listener.route('GET', '/peer/v1/ledgers/:chainId/blocks/:number', (call) => this.block(call));
  }

  /** The leaves of the final events behind `after`, in order, 32 bytes each: through `through`, or as many as an answer holds, or there are. */
  async leaves({ params }: PeerCall): Promise<PeerReply> {
    this.#requireLocal(params);
    const after = numberIn(params.after);
    const through = numberIn(params.through);
    const last = through - after > MOST_LEAVES ? after + MOST_LEAVES : through;
    const leaves: Buffer[] = [];
    for (let at = after; at < last; at += PIECE) {
      const to = last - at > PIECE ? at + PIECE : last;
      const began = performance.now();
      const events = await this.store.events(this.#local.name, at, to);
      for (const { topics, data } of events) leaves.push(keccak256(topics, data));
      if (BigInt(events.length) < to - at) break;
      if (to < last) await sleep(Math.min(PAUSE * (performance.now() - began), LONGEST_PAUSE_MS));
    }
    return { status: 200, body: Buffer.concat(leaves) };
  }

  /** Hash of a final block, and the ledger's sequence and head after it. 404 where the chain has none. */
  async block({ params }: PeerCall): Promise<PeerReply> {
    this.#requireLocal(params);
    const point = await this.store.pointAt(this.#local.name, numberIn(params.number));
    if (!point) throw new ProblemError('NOT_FOUND');
    return {
      status: 200,
      body: { hash: toHex(point.hash), sequence: String(point.sequence), head: toHex(point.head) },
    };
  }

  /** Anything else is everybody's, or another hospital's. */
  #requireLocal({ chainId }: PeerCall['params']): void {
    if (chainId !== String(this.#local.chainId)) throw new ProblemError('NOT_FOUND');
  }
}

function numberIn(text = ''): bigint {
  if (!/^\d{1,19}$/.test(text) || BigInt(text) >= 2n ** 63n) throw new ProblemError('NOT_FOUND');
  return BigInt(text);
}
