import type { ChainLog } from '../../libs/chain-client/src/rpc/reader.js';
import {
  decodeEvent,
  foldHead,
  isSequenced,
  leafOf,
  type SequencedEvent,
} from '../../libs/contracts/src/event.codec.js';
import { toHex } from '../../libs/platform/src/bytes.js';
import type { Act } from '../client/load.js';
import type { Facts } from './facts.js';

/** `lost`: accepted and not carried out. `doubled`: more than one effect. `stuck`: not ended in time. `taken-back`: an answer that no longer holds. */
export type FindingKind = 'lost' | 'doubled' | 'stuck' | 'taken-back' | 'nonces' | 'mirror' | 'other';

/** One thing that must not be. */
export interface Finding {
  kind: FindingKind;
  text: string;
}

/** What a scenario brings about on purpose, and what is therefore no finding. */
export interface Allowances {
  /** codes under which acts may have failed */
  failures?: string[];
  /** blocks that weren't final may have been replaced */
  reorganisations?: boolean;
  /** a chain replaced beyond finality was noted, as it had to be */
  beyondFinality?: boolean;
  /** transactions of the relayer's key that the gateway never signed, 0x-hex */
  foreign?: ReadonlySet<string>;
  /** the database was lost or put back: transactions from before are on the chain alone, and acts were sent again */
  restored?: boolean;
  /** transactions may have mined with status 0 */
  reverts?: boolean;
}

interface OnChain {
  event: SequencedEvent;
  log: ChainLog;
}

/** What the founding of a ledger has for a request, and an act on no record for a record. */
const NOTHING = toHex(Buffer.alloc(32));
const EXPECTED = { query: 'RecordQueried', open: 'RecordOpened', refused: 'AccessDenied' } as const;

/**
 * Holds what clients were told, what the database says and what the chain says against each other. A function of the facts alone;
 * every head is folded here. @returns what must not be, nothing when all is well
 */
export function judge(facts: Facts, acts: readonly Act[], allow: Allowances = {}): Finding[] {
  const verdict = new Verdict(facts, allow);
  verdict.readChain();
  verdict.toldAndTrue(acts);
  verdict.acceptedAndDone();
  verdict.noncesWithoutGap();
  verdict.mirrored();
  return verdict.findings;
}

class Verdict {
  readonly findings: Finding[] = [];
  private readonly byRequest = new Map<string, OnChain[]>();
  private readonly chain: OnChain[] = [];
  private head: Buffer = Buffer.alloc(32);

  constructor(
    private readonly facts: Facts,
    private readonly allow: Allowances,
  ) {}

  private found(kind: FindingKind, text: string): void {
    this.findings.push({ kind, text });
  }

  /** Events by request id, each sequence once and in order, each head as the fold says. */
  readChain(): void {
    const records = new Map<string, { sequence: bigint; head: Buffer }>();
    let sequence = 0n;
    for (const log of this.facts.logs) {
      const event = decodeEvent(log);
      if (!event) {
        this.found('other', `an unknown log in block ${log.blockNumber}`);
      } else if (event.type === 'Head') {
        if (event.sequence !== sequence || !event.head.equals(this.head))
          this.found('other', `the head after ${sequence} does not fold`);
      } else if (!isSequenced(event)) {
        // A repeat that the ledger turned away is no second effect, but nobody may have had to send one.
        if (!this.allow.restored) this.found('doubled', `the ledger met ${event.type} in block ${log.blockNumber}`);
      } else {
        if (event.sequence !== sequence + 1n) this.found('other', `sequence ${event.sequence} follows ${sequence}`);
        sequence = event.sequence;
        const leaf = leafOf(log);
        this.head = foldHead(this.head, sequence, leaf);
        this.foldRecord(records, event, leaf);
        const request = toHex(event.requestId);
        this.chain.push({ event, log });
        this.byRequest.set(request, [...(this.byRequest.get(request) ?? []), { event, log }]);
      }
    }
    for (const [request, found] of this.byRequest) {
      if (found.length > 1 && request !== NOTHING)
        this.found('doubled', `request ${request} has ${found.length} effects`);
    }
  }

  private foldRecord(
    records: Map<string, { sequence: bigint; head: Buffer }>,
    event: SequencedEvent,
    leaf: Buffer,
  ): void {
    const id = toHex(event.recordId);
    // An act on actors or hospitals stands in the ledger's own chain alone.
    if (id === NOTHING) return;
    const record = records.get(id) ?? { sequence: 0n, head: Buffer.alloc(32) };
    if (event.recordSequence !== record.sequence + 1n || !event.recordHead.equals(record.head))
      this.found('other', `event ${event.sequence} does not continue its record`);
    records.set(id, { sequence: event.recordSequence, head: foldHead(record.head, event.recordSequence, leaf) });
  }

  /** Each accepted act has its one event of the right kind; what an answer called confirmed or denied is that event. */
  toldAndTrue(acts: readonly Act[]): void {
    for (const act of acts) {
      if (act.requestId === undefined) continue;
      const name = `${act.kind} ${act.key}`;
      const found = this.byRequest.get(act.requestId)?.[0];
      if (act.state === 'failed') {
        if (found)
          this.found('taken-back', `${name} was called failed (${act.code}) and is event ${found.event.sequence}`);
        else if (!this.allow.failures?.includes(act.code ?? '')) this.found('lost', `${name} failed: ${act.code}`);
        continue;
      }
      const due = act.kind === 'refused' ? 'denied' : 'confirmed';
      if (act.state !== due) {
        const kind =
          act.state === 'confirmed' || act.state === 'denied' || act.state === 'cancelled' ? 'other' : 'stuck';
        this.found(kind, `${name} is ${act.state} where ${due} is due`);
      }
      if (!found) {
        const kind = act.state === due ? 'taken-back' : 'lost';
        this.found(kind, `${name} was accepted (${act.state}) and is not on the chain`);
      } else if (found.event.type !== EXPECTED[act.kind]) {
        this.found('other', `${name} became ${found.event.type}`);
      } else if (act.event !== undefined && act.event !== `ev_local_${found.event.sequence}`) {
        this.found('taken-back', `${name} was told ${act.event} and is event ${found.event.sequence}`);
      }
    }
  }

  /** Each stored operation is on the chain once; none that is there is called failed; nothing is there that isn't stored. */
  acceptedAndDone(): void {
    const { operations } = this.facts;
    const stored = new Set(operations.map((row) => toHex(row.request_id)));
    for (const row of operations) {
      const name = `operation ${row.id} (${row.type}, ${row.phase})`;
      const there = this.byRequest.has(toHex(row.request_id));
      const mayFail = row.phase === 'failed' && this.allow.failures?.includes(row.failure?.code ?? '');
      if (there && row.phase === 'failed') this.found('taken-back', `${name} is on the chain`);
      else if (!there && !mayFail) this.found('lost', `${name} is not on the chain`);
      else if (row.phase !== 'signed' && !mayFail) this.found('stuck', `${name} is not called signed`);
    }
    if (this.allow.restored) return;
    for (const [request, [found]] of this.byRequest) {
      if (!stored.has(request) && request !== NOTHING && !this.isForeign(found?.log.transactionHash))
        this.found('other', `request ${request} (${found?.event.type}) is on the chain and not stored`);
    }
  }

  private isForeign(hash: Buffer | undefined): boolean {
    return hash !== undefined && (this.allow.foreign?.has(toHex(hash)) ?? false);
  }

  /** Nonces 0, 1, 2 …, each with one transaction on the chain, which is one of its stored attempts, and called what it became. */
  noncesWithoutGap(): void {
    const { sent, transactions, signer, pooled } = this.facts;
    if (pooled > 0) this.found('stuck', `${pooled} transactions wait in the node's pool`);
    if (signer?.state !== 'active') this.found('stuck', `the signer is ${signer?.state}: ${signer?.reason}`);
    if (Number(signer?.next_nonce ?? -1) !== sent.length)
      this.found('nonces', `the signer's next nonce is ${signer?.next_nonce}; the chain has ${sent.length}`);
    const stored = new Map(transactions.map((row) => [row.nonce, row]));
    const seen = new Set<string>();
    for (const [index, transaction] of sent.entries()) {
      const nonce = String(transaction.nonce);
      if (transaction.nonce !== BigInt(index)) this.found('nonces', `nonce ${nonce} stands where ${index} was due`);
      seen.add(nonce);
      if (this.isForeign(transaction.hash)) continue;
      const row = stored.get(nonce);
      if (!row) {
        if (!this.allow.restored) this.found('nonces', `nonce ${nonce} is on the chain and not stored`);
        continue;
      }
      if (!row.hashes.some((hash) => hash.equals(transaction.hash)))
        this.found('nonces', `nonce ${nonce} was used by bytes that are not stored`);
      const became = transaction.status === 1 ? 'final' : 'reverted';
      if (row.state !== became && row.state !== 'noop')
        this.found('stuck', `nonce ${nonce} is called ${row.state} and is ${became}`);
      if (transaction.status !== 1 && !this.allow.reverts) this.found('other', `nonce ${nonce} mined with status 0`);
    }
    for (const { nonce, state } of transactions) {
      if (!seen.has(nonce)) this.found('nonces', `nonce ${nonce} is stored (${state}) and not on the chain`);
    }
  }

  /** The mirror's rows are the chain's events, no more and no less, to the byte. */
  mirrored(): void {
    const { events: rows, cursor, tip, orphans, reorganisations } = this.facts;
    if (rows.length !== this.chain.length)
      this.found('mirror', `the mirror has ${rows.length} events, the chain ${this.chain.length}`);
    for (const [index, { event, log }] of this.chain.entries()) {
      const row = rows[index];
      const same =
        row !== undefined &&
        BigInt(row.sequence) === event.sequence &&
        row.type === event.type &&
        row.request_id.equals(event.requestId) &&
        BigInt(row.block_number) === log.blockNumber &&
        row.block_hash.equals(log.blockHash) &&
        row.log_index === log.logIndex &&
        row.transaction_hash.equals(log.transactionHash) &&
        row.topics.equals(Buffer.concat(log.topics)) &&
        row.data.equals(log.data);
      if (!same) this.found('mirror', `event ${event.sequence} (${event.type}) is otherwise in the mirror`);
    }
    if (BigInt(cursor?.number ?? -1) !== tip.number || !cursor?.hash.equals(tip.hash))
      this.found('mirror', `the mirror stands at block ${cursor?.number}, the chain at ${tip.number}`);
    if (Number(cursor?.sequence) !== this.chain.length || !cursor?.head.equals(this.head))
      this.found('mirror', "the mirror's head is another one than the chain's events fold to");
    if (cursor?.stopped_reason) this.found('mirror', `the mirror stopped: ${cursor.stopped_reason}`);
    for (const { depth, beyond_finality: beyond } of reorganisations) {
      if (beyond ? !this.allow.beyondFinality : !this.allow.reorganisations)
        this.found('taken-back', `the chain was replaced, ${depth} blocks deep${beyond ? ', beyond finality' : ''}`);
    }
    if (orphans > 0 && !this.allow.reorganisations) this.found('taken-back', `${orphans} events were taken back`);
  }
}
