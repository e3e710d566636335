import { Inject, Injectable } from '@nestjs/common';
import { toHex } from '../../../../libs/platform/src/bytes.js';
import type { Logger } from '../../../../libs/platform/src/logger.js';
import { LOGGER } from '../core.tokens.js';
import type { Anchor } from './anchor.rows.js';
import type { LedgerPoint } from './anchoring.store.js';
import { type Incident, type IncidentKind, IncidentsStore } from './incidents.store.js';

/** Histories that aren't what was anchored: told once when they are found, kept for good, resolved when the anchored history is shown after all. */
@Injectable()
export class AnchorIncidents {
  constructor(
    private readonly store: IncidentsStore,
    @Inject(LOGGER) private readonly logger: Logger,
  ) {}

  unresolved(network: string): Promise<Incident[]> {
    return this.store.unresolved(network);
  }

  /** Holds the anchored block against the one in the hospital's chain. @returns whether it is the same, with the same history behind it */
  async compareBlock(
    network: string,
    anchor: Anchor,
    found: Omit<LedgerPoint, 'number'> | undefined,
  ): Promise<boolean> {
    const same =
      found?.hash.equals(anchor.localBlockHash) &&
      found.sequence === anchor.localSequence &&
      found.head.equals(anchor.localHead);
    if (same) {
      await this.resolved(network, anchor, 'block');
      return true;
    }
    const where = `Hospital ${anchor.hospital} anchored block ${anchor.localBlock} (sequence ${anchor.localSequence}) as ${toHex(anchor.localBlockHash)}`;
    const instead = found
      ? `its chain has ${toHex(found.hash)} there, at sequence ${found.sequence}`
      : 'its chain has no such block';
    await this.#open(network, anchor, 'block', found?.hash ?? null, `${where}; ${instead}.`);
    return false;
  }

  /**
   * The events between the last anchor and this one don't lead to the head that was anchored.
   * @param found the head they lead to; undefined: `given` of them are all there are
   */
  async foldFailed(network: string, anchor: Anchor, found: Buffer | undefined, given: bigint): Promise<void> {
    const where = `Hospital ${anchor.hospital} anchored head ${toHex(anchor.localHead)} at sequence ${anchor.localSequence}, block ${anchor.localBlock}`;
    const instead = found
      ? `its events from sequence ${anchor.previousSequence + 1n} on lead to ${toHex(found)}`
      : `it gives its events through sequence ${anchor.previousSequence + given} only`;
    await this.#open(network, anchor, 'fold', found ?? null, `${where}; ${instead}.`);
  }

  /**
   * Holds the head that was anchored of this hospital's access log against the one it has there.
   * @param found the fold of as many entries as were anchored; undefined: there are fewer
   */
  async compareAccessLog(network: string, anchor: Anchor, found: Buffer | undefined): Promise<void> {
    if (found?.equals(anchor.accessHead)) return this.resolved(network, anchor, 'access-log');
    const where = `Hospital ${anchor.hospital} anchored head ${toHex(anchor.accessHead)} of the first ${anchor.accessSequence} entries of its access log`;
    const instead = found ? `its entries lead to ${toHex(found)} there` : 'the log has fewer entries';
    await this.#open(network, anchor, 'access-log', found ?? null, `${where}; ${instead}.`);
  }

  async resolved(network: string, anchor: Anchor, kind: IncidentKind): Promise<void> {
    const { hospital, sequence, localBlock, localSequence } = anchor;
    if (!(await this.store.resolve(network, sequence, kind))) return;
    this.logger.info(
      { hospital, block: String(localBlock), sequence: String(localSequence) },
      'a hospital shows the history that it anchored again',
    );
  }

  async #open(
    network: string,
    anchor: Anchor,
    kind: IncidentKind,
    found: Buffer | null,
    detail: string,
  ): Promise<void> {
    const { hospital, chainId, sequence: anchorSequence, localBlock, localSequence } = anchor;
    const anchored = { fold: anchor.localHead, block: anchor.localBlockHash, 'access-log': anchor.accessHead }[kind];
    const incident = {
      network,
      hospital,
      chainId,
      kind,
      anchorSequence,
      localBlock,
      localSequence,
      anchored,
      found,
      detail,
    };
    if (!(await this.store.open(incident))) return;
    this.logger.error(
      {
        alarm: true,
        runbook: 'anchor-broken',
        hospital,
        block: String(localBlock),
        sequence: String(localSequence),
        detail,
      },
      `${kind === 'access-log' ? 'the access log' : "a hospital's ledger"} is not what was anchored`,
    );
  }
}
