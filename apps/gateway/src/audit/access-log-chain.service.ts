import { Injectable } from '@nestjs/common';
import {
  AccessLogChainStore,
  type AccessLogHead,
  type EntryFilter,
  type LinkedEntry,
} from './access-log-chain.store.js';

export type { AccessLogHead, EntryFilter, LinkedEntry };

const BATCH = 1_000;

/** The access log as a chain: its head for anchors and integrity, its entries for auditors and exports. */
@Injectable()
export class AccessLogChain {
  constructor(private readonly store: AccessLogChainStore) {}

  /** Sequence, head and time of the last link. */
  head(): Promise<AccessLogHead> {
    return this.store.head();
  }

  /**
   * Newest look first; give `limit` one more than the page. `through` is the head's sequence at the first page: what is linked meanwhile
   * would otherwise slip between pages.
   */
  entries(
    filter: EntryFilter,
    through: string,
    before: { at: string; id: string } | undefined,
    limit: number,
  ): Promise<LinkedEntry[]> {
    return this.store.entries(filter, through, before, limit);
  }

  /**
   * A stretch of the chain in its own order, in bounded memory: every sequence behind `after` up to `through`. Where an entry is gone, its
   * `preimage` is null, which no verifier takes.
   * @param after decimal string; '0' begins with the first link
   * @param through decimal string; default: the head as it is now
   */
  async *links(after = '0', through?: string): AsyncGenerator<LinkedEntry> {
    const end = through ?? (await this.store.head()).sequence;
    let last = after;
    while (BigInt(last) < BigInt(end)) {
      const rows = await this.store.links(last, end, BATCH);
      if (rows.length === 0) return;
      yield* rows;
      last = rows.at(-1)!.sequence;
    }
  }
}
