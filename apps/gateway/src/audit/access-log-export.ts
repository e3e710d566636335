import { createHash } from 'node:crypto';
import { toHex } from '../../../../libs/platform/src/bytes.js';
import { ACCESS_LOG_START, decodeAccessLogEntry, faultInAccessLog } from '../../../../libs/proof/src/access-log.js';
import type { LinkedEntry } from './access-log-chain.service.js';

/** What a manifest says of a stretch of the access log. */
export interface AccessLogTotals {
  rows: string;
  bytes: string;
  sha256: string;
  first: string;
  last: string;
  previousHead: string;
  head: string;
}

const ENTRIES_AT_ONCE = 500;

/** Turns the links of the access log, from its first, into the bytes of an export; each is checked before it is written. Holds some hundred. */
export class AccessLogExport {
  readonly #hash = createHash('sha256');
  #bytes = 0n;
  #sequence = 0n;
  #head: Buffer = ACCESS_LOG_START;

  /** @throws Error when an entry isn't what was linked */
  async *content(links: AsyncIterable<LinkedEntry>): AsyncGenerator<Buffer> {
    let lines: string[] = [];
    for await (const link of links) {
      lines.push(this.#line(link));
      if (lines.length < ENTRIES_AT_ONCE) continue;
      yield this.#count(lines);
      lines = [];
    }
    if (lines.length > 0) yield this.#count(lines);
  }

  totals(): AccessLogTotals {
    return {
      rows: String(this.#sequence),
      bytes: String(this.#bytes),
      sha256: toHex(this.#hash.digest()),
      first: '1',
      last: String(this.#sequence),
      previousHead: toHex(ACCESS_LOG_START),
      head: toHex(this.#head),
    };
  }

  #line({ sequence, preimage, leaf, head }: LinkedEntry): string {
    const link = { sequence: BigInt(sequence), preimage: preimage ?? Buffer.alloc(0), leaf, head };
    const fault = faultInAccessLog([link], { sequence: this.#sequence, head: this.#head });
    if (fault) throw new Error(`the access log is broken: ${fault}`);
    this.#sequence = link.sequence;
    this.#head = head;
    const entry = decodeAccessLogEntry(preimage);
    return `${JSON.stringify({
      sequence,
      id: String(entry.id),
      at: instant(entry.at),
      principal: toHex(entry.principal),
      actor: entry.actor && toHex(entry.actor),
      kind: entry.kind,
      recordId: entry.recordId && toHex(entry.recordId),
      requestId: entry.requestId && toHex(entry.requestId),
      detail: entry.detail,
      preimage: toHex(preimage),
      leaf: toHex(leaf),
      head: toHex(head),
    })}\n`;
  }

  #count(lines: readonly string[]): Buffer {
    const bytes = Buffer.from(lines.join(''));
    this.#hash.update(bytes);
    this.#bytes += BigInt(bytes.length);
    return bytes;
  }
}

/** RFC 3339 of microseconds since 1970. */
function instant(micros: bigint): string {
  const seconds = new Date(Number(micros / 1000n)).toISOString().slice(0, 19);
  return `${seconds}.${String(micros % 1_000_000n).padStart(6, '0')}Z`;
}
