import { setImmediate } from 'node:timers/promises';
import { Inject, Injectable } from '@nestjs/common';
import { ProblemError } from '../../../../libs/platform/src/errors.js';
import type { Logger } from '../../../../libs/platform/src/logger.js';
import type { NetworksConfig } from '../../../../libs/platform/src/networks.js';
import { foldHead } from '../../../../libs/proof/src/head.js';
import { LOGGER, NETWORKS } from '../core.tokens.js';
import { GATEWAY_ENV, type GatewayEnv } from '../gateway.env.js';
import type { Anchor } from './anchor.rows.js';
import { AnchoringStore } from './anchoring.store.js';
import { type Followed, FollowStore, type Line } from './follow.store.js';
import { AnchorIncidents } from './incidents.service.js';
import { LedgerClient } from './ledger.client.js';
import { MOST_LEAVES } from './ledger.peer.js';

/** Anchors of one hospital looked at in a round, and leaves asked for: what is left, the next round goes on with. */
const ANCHORS_A_ROUND = 200;
const LEAVES_A_ROUND = 50n * MOST_LEAVES;
const FOLDED_AT_ONCE = 512;

/** How events fold onto an anchor's beginning. */
type Fold =
  | { result: 'leads' }
  | { result: 'unfinished'; at: bigint; head: Buffer }
  | { result: 'broken'; head?: Buffer; given: bigint };

/**
 * Holds the other hospitals' ledgers against their anchors. The events between two anchors must fold to the head that was anchored: so a false
 * history can't be put in place of the true one, however long it is. And the block anchored last must still be where it was: so a history
 * that was taken back and not anchored anew is noticed too.
 */
@Injectable()
export class AnchorFollower {
  readonly #network: string;
  readonly #asked = new Map<string, number>();
  #stopped = false;

  constructor(
    private readonly store: FollowStore,
    private readonly ledger: AnchoringStore,
    private readonly client: LedgerClient,
    private readonly incidents: AnchorIncidents,
    @Inject(NETWORKS) private readonly networks: NetworksConfig,
    @Inject(GATEWAY_ENV) private readonly env: GatewayEnv,
    @Inject(LOGGER) private readonly logger: Logger,
  ) {
    this.#network = networks.global;
  }

  /** Looks at every other hospital once. One that gives no answer holds up no other. */
  async round(): Promise<void> {
    // Where there is one network alone, its anchors are of access logs, whose entries nobody hands out.
    if (this.networks.local === this.networks.global) return;
    const lines = await this.store.lines(this.#network);
    const others = lines.filter(({ hospital }) => hospital !== this.env.HOSPITAL_ID);
    await Promise.all(others.map((line) => this.#follow(line)));
  }

  /** The round in hand ends with the answer it waits for. */
  stop(): void {
    this.#stopped = true;
  }

  async #follow(line: Line): Promise<void> {
    const followed = await this.store.followed(this.#network, line);
    try {
      const asked = await this.#catchUp(line, followed);
      const again = this.#isDue(line) && (await this.#askAgain(line));
      if (!asked && !again) return;
      Object.assign(followed, { answeredAt: new Date(), problem: null });
    } catch (error) {
      if (!(error instanceof ProblemError)) throw error;
      const problem = error.message;
      if (followed.problem !== problem) {
        this.logger.warn(
          { hospital: line.hospital, problem },
          "a hospital's ledger could not be held against its anchors",
        );
      }
      followed.problem = problem;
    }
    await this.store.keep(this.#network, line, followed);
  }

  /** Folds what was anchored since. @returns whether the hospital was asked anything */
  async #catchUp(line: Line, followed: Followed): Promise<boolean> {
    const anchors = await this.store.anchors(this.#network, line, followed.anchorSequence, ANCHORS_A_ROUND);
    let left = LEAVES_A_ROUND;
    let asked = false;
    for (const anchor of anchors) {
      if (anchor.localSequence > anchor.previousSequence) {
        const from = followed.folded ?? { sequence: anchor.previousSequence, head: anchor.previousHead };
        const fold = await this.#fold(anchor, from, left);
        asked = true;
        if (fold.result === 'unfinished') {
          followed.folded = { sequence: fold.at, head: fold.head };
          return asked;
        }
        left -= anchor.localSequence - from.sequence;
        if (fold.result === 'broken') await this.incidents.foldFailed(this.#network, anchor, fold.head, fold.given);
      }
      followed.anchorSequence = anchor.sequence;
      delete followed.folded;
      if (asked) await this.store.keep(this.#network, line, followed);
    }
    return asked || anchors.length > 0;
  }

  async #fold(anchor: Anchor, from: { sequence: bigint; head: Buffer }, most: bigint): Promise<Fold> {
    const { hospital, chainId, localSequence, localHead, previousSequence } = anchor;
    let { sequence: at, head } = from;
    while (at < localSequence) {
      if (at - from.sequence >= most || this.#stopped) return { result: 'unfinished', at, head };
      const through = localSequence - at > MOST_LEAVES ? at + MOST_LEAVES : localSequence;
      const leaves = await this.client.leaves(hospital, chainId, at, through);
      for (const [index, leaf] of leaves.entries()) {
        head = foldHead(head, ++at, leaf);
        // A long fold keeps nobody waiting.
        if (index % FOLDED_AT_ONCE === FOLDED_AT_ONCE - 1) await setImmediate();
      }
      // An answer is as long as it was asked to be, or there is no more.
      if (at < through) return { result: 'broken', given: at - previousSequence };
    }
    return head.equals(localHead) ? { result: 'leads' } : { result: 'broken', head, given: at - previousSequence };
  }

  #isDue({ hospital, chainId }: Line): boolean {
    const name = `${hospital} ${chainId}`;
    const due = Date.now() - (this.#asked.get(name) ?? 0) >= this.env.ANCHOR_SECONDS * 1000;
    if (due) this.#asked.set(name, Date.now());
    return due;
  }

  /** Whether the block anchored last is still there, and whether what didn't fold does now. @returns whether the hospital was asked anything */
  async #askAgain(line: Line): Promise<boolean> {
    const last = await this.ledger.lastAnchor(this.#network, line.hospital, line.chainId);
    if (!last) return false;
    // Of a network that is everybody's there is nothing to ask.
    if (last.localSequence === 0n) return false;
    await this.#compareBlock(last);
    for (const { hospital, chainId, kind, anchorSequence } of await this.incidents.unresolved(this.#network)) {
      if (hospital !== line.hospital || chainId !== line.chainId) continue;
      if (kind === 'block' && anchorSequence === last.sequence) continue;
      const anchor = await this.store.anchorAt(this.#network, anchorSequence);
      if (anchor && kind === 'block') await this.#compareBlock(anchor);
      if (!anchor || kind === 'block') continue;
      const fold = await this.#fold(
        anchor,
        { sequence: anchor.previousSequence, head: anchor.previousHead },
        LEAVES_A_ROUND,
      );
      if (fold.result === 'leads') await this.incidents.resolved(this.#network, anchor, 'fold');
    }
    return true;
  }

  async #compareBlock(anchor: Anchor): Promise<void> {
    const found = await this.client.block(anchor.hospital, anchor.chainId, anchor.localBlock);
    await this.incidents.compareBlock(this.#network, anchor, found);
  }
}
