import { Inject, Injectable } from '@nestjs/common';
import { endStates, type OperationView } from '../../../../libs/chain-client/src/submission/operation.types.js';
import type { Submission } from '../../../../libs/chain-client/src/submission/submission.js';
import { Operation } from '../../../../libs/contracts/src/operations.js';
import { parameters } from '../../../../libs/contracts/src/parameters.js';
import { keccak256 } from '../../../../libs/platform/src/keccak.js';
import type { Logger } from '../../../../libs/platform/src/logger.js';
import { type NetworkConfig, type NetworksConfig, networkOf } from '../../../../libs/platform/src/networks.js';
import { ZERO_HEAD } from '../../../../libs/proof/src/head.js';
import { LOGGER, NETWORKS, SUBMISSION } from '../core.tokens.js';
import { GATEWAY_ENV, type GatewayEnv } from '../gateway.env.js';
import { Keystores } from '../keys/keystores.js';
import { unattendedAct } from '../operations/unattended-act.js';
import type { Anchor } from './anchor.rows.js';
import { AnchoringStore, type LedgerPoint } from './anchoring.store.js';
import { AnchorIncidents } from './incidents.service.js';

const TYPE = 'anchor-ledger';
const ID = Buffer.from('emr-gateway/anchor/1');
const NO_RECORD = Buffer.alloc(32);
/** Longest wait before an anchor that was refused is tried anew. */
const LONGEST_BACKOFF_SECONDS = 3_600;

type Ends = Pick<Anchor, 'localBlock' | 'localSequence' | 'localHead' | 'accessSequence' | 'accessHead'>;
const NOTHING: Ends = {
  ...{ localBlock: 0n, localSequence: 0n, localHead: ZERO_HEAD },
  ...{ accessSequence: 0n, accessHead: ZERO_HEAD },
};

/** What is there to anchor. */
interface Unanchored {
  last: Ends;
  now: Omit<LedgerPoint, 'sequence' | 'head'> & Omit<Ends, 'localBlock'>;
  /** Acts and entries since the last anchor. */
  count: bigint;
  /** Unix seconds of the oldest of them. */
  since: number;
}

/**
 * Puts on the global ledger how far this hospital's own ledger and access log have come. Where both tiers are one network, its events need no
 * anchor, since everybody holds them: then only the access log has one.
 */
@Injectable()
export class Anchoring {
  readonly #local: NetworkConfig;
  readonly #global: NetworkConfig;

  constructor(
    private readonly store: AnchoringStore,
    private readonly incidents: AnchorIncidents,
    private readonly keystores: Keystores,
    @Inject(SUBMISSION) private readonly submission: Submission,
    @Inject(NETWORKS) networks: NetworksConfig,
    @Inject(GATEWAY_ENV) private readonly env: GatewayEnv,
    @Inject(LOGGER) private readonly logger: Logger,
  ) {
    this.#local = networkOf(networks, 'local');
    this.#global = networkOf(networks, 'global');
  }

  /** Submits the next anchor once it is due: ANCHOR_ACTS have come since the last, or the oldest of them is ANCHOR_SECONDS old. */
  async tick(): Promise<void> {
    const last = await this.lastAnchor();
    if (last) {
      await this.#compareAccessLog(last);
      if (!(await this.#stands(last))) return;
    }
    const open = await this.#unanchored(last);
    if (!open) return;
    const due = open.count >= BigInt(this.env.ANCHOR_ACTS) || Date.now() / 1000 - open.since >= this.env.ANCHOR_SECONDS;
    if (due) await this.#submit(open);
  }

  /** Seconds for which the oldest act or look has waited for an anchor; 0: everything has one. */
  async age(): Promise<number> {
    const open = await this.#unanchored(await this.lastAnchor());
    return open ? Math.max(0, Date.now() / 1000 - open.since) : 0;
  }

  /** This hospital's last final anchor. */
  lastAnchor(): Promise<Anchor | undefined> {
    return this.store.lastAnchor(this.#global.name, this.env.HOSPITAL_ID, this.#local.chainId);
  }

  get #shared(): boolean {
    return this.#local === this.#global;
  }

  async #unanchored(last: Ends = NOTHING): Promise<Unanchored | undefined> {
    const [point, access] = await Promise.all([this.store.finalPoint(this.#local.name), this.store.accessHead()]);
    // A mirror that is behind its own anchor has yet to catch up.
    if (!point || (!this.#shared && point.sequence < last.localSequence)) return undefined;
    const ledger = this.#shared ? { sequence: 0n, head: ZERO_HEAD } : point;
    const acts = ledger.sequence - last.localSequence;
    const entries = access.sequence - last.accessSequence;
    if (acts <= 0n && entries <= 0n) return undefined;
    const times = await Promise.all([
      acts > 0n ? this.store.timeOfEvent(this.#local.name, last.localSequence + 1n) : undefined,
      entries > 0n ? this.store.timeOfEntry(last.accessSequence + 1n) : undefined,
    ]);
    return {
      last,
      now: {
        number: point.number,
        hash: point.hash,
        localSequence: ledger.sequence,
        localHead: ledger.head,
        // A log restored from a backup has fewer entries than were anchored: then it stays at those.
        accessSequence: entries > 0n ? access.sequence : last.accessSequence,
        accessHead: entries > 0n ? access.head : last.accessHead,
      },
      count: (acts > 0n ? acts : 0n) + (entries > 0n ? entries : 0n),
      since: Math.min(...times.filter((time) => time !== undefined)),
    };
  }

  /** Whether this hospital's chain still is what it anchored: on another one nothing more may be built. */
  async #stands(last: Anchor): Promise<boolean> {
    if (this.#shared) return true;
    const found = await this.store.pointAt(this.#local.name, last.localBlock);
    return this.incidents.compareBlock(this.#global.name, last, found);
  }

  /** Tells of an access log that isn't what was anchored of it. The ledger's anchors go on: others hold this hospital's acts against them. */
  async #compareAccessLog(last: Anchor): Promise<void> {
    if (last.accessSequence === 0n) return;
    const found = await this.store.accessHeadAt(last.accessSequence);
    await this.incidents.compareAccessLog(this.#global.name, last, found);
  }

  async #submit({ last, now }: Unanchored): Promise<void> {
    const requestId = await this.#nextRequestId(last);
    if (!requestId) return;
    const operation = unattendedAct(this.#global, this.keystores.registrar, {
      requestId,
      type: TYPE,
      code: Operation.ANCHOR_LEDGER,
      recordId: NO_RECORD,
      principal: null,
      parameters: parameters.anchorLedger({
        localChainId: this.#local.chainId,
        block: now.number,
        blockHash: now.hash,
        previousSequence: last.localSequence,
        previousHead: last.localHead,
        localSequence: now.localSequence,
        localHead: now.localHead,
        accessSequence: now.accessSequence,
        accessHead: now.accessHead,
      }),
    });
    await this.submission.acceptor.acceptWith([operation], async () => undefined);
    this.logger.debug({ sequence: String(now.localSequence), block: String(now.number) }, 'an anchor was submitted');
  }

  /**
   * The id under which the anchor behind `last` is submitted: it follows from `last`, so that whoever tries again after a crash, in whatever
   * process, finds the act that is there already. Undefined while that one is on its way, or was refused a short while ago.
   */
  async #nextRequestId(last: Ends): Promise<Buffer | undefined> {
    for (let attempt = 0; ; attempt += 1) {
      const requestId = anchorRequestId(this.#local.chainId, last, attempt);
      const [view] = await this.submission.reader.byRequestIds(this.#global.name, [requestId]);
      if (!view) return requestId;
      if (!endStates.has(view.state)) return undefined;
      if (view.state === 'confirmed' || !this.#mayTryAnew(view, attempt)) return undefined;
    }
  }

  #mayTryAnew({ updatedAt, outcome }: OperationView, attempt: number): boolean {
    const seconds = Math.min(LONGEST_BACKOFF_SECONDS, this.env.ANCHOR_SECONDS * 2 ** attempt);
    const over = Date.now() - updatedAt.getTime() >= seconds * 1000;
    if (over) this.logger.warn({ outcome, attempt }, 'an anchor came to nothing and is tried anew');
    return over;
  }
}

/** Request id of the anchor that follows `last`; `attempt` counts those before it that were refused or failed. */
export function anchorRequestId(chainId: bigint, last: Omit<Ends, 'localBlock'>, attempt: number): Buffer {
  const numbers = Buffer.alloc(28);
  numbers.writeBigUInt64BE(chainId, 0);
  numbers.writeBigUInt64BE(last.localSequence, 8);
  numbers.writeBigUInt64BE(last.accessSequence, 16);
  numbers.writeUInt32BE(attempt, 24);
  return keccak256(ID, numbers, last.localHead, last.accessHead);
}
