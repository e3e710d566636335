import { Inject, Injectable } from '@nestjs/common';
import { ChainReader } from '../../../../libs/chain-client/src/rpc/reader.js';
import { toHex } from '../../../../libs/platform/src/bytes.js';
import { ProblemError } from '../../../../libs/platform/src/errors.js';
import { type NetworksConfig, networkOf } from '../../../../libs/platform/src/networks.js';
import { foldHead, leafOf } from '../../../../libs/proof/src/head.js';
import { orderedTriePath } from '../../../../libs/proof/src/ordered-trie-path.js';
import { encodeReceipt } from '../../../../libs/proof/src/receipts-trie.js';
import type { Caller } from '../auth/caller.js';
import { NETWORKS } from '../core.tokens.js';
import { Nodes } from '../networks/nodes.js';
import { AccessLog } from './access-log.service.js';
import type { EventProof, ProofQuery } from './proof.schema.js';
import { type EventLog, ProofStore, type ProvableEvent } from './proof.store.js';

/** A header takes 1.2 kB in a proof: this many are 12 MB. */
const MOST_HEADERS = 10_000n;

/** Proofs that an event is on the chain, for who doesn't want to believe this program (verifier/). */
@Injectable()
export class ProofService {
  constructor(
    private readonly store: ProofStore,
    private readonly nodes: Nodes,
    private readonly accessLog: AccessLog,
    @Inject(NETWORKS) private readonly networks: NetworksConfig,
  ) {}

  /**
   * @throws ProblemError NOT_FOUND unless the event is final; CONFLICT when the headers can't end at the block asked for; CHAIN_UNAVAILABLE
   *   when the node, which alone has the receipts, doesn't give those that the block commits to
   */
  async proofOf(caller: Caller, id: string, query: ProofQuery): Promise<EventProof> {
    const [, network, sequence] = /^ev_(.+)_(\d+)$/.exec(id) as unknown as [string, string, string];
    const configured = this.networks.networks.some(({ name }) => name === network);
    const fits = BigInt(sequence) < 2n ** 63n;
    const event = configured && fits ? await this.store.event(network, sequence) : undefined;
    if (!event) throw new ProblemError('NOT_FOUND');
    const through = await this.#through(network, event, query);
    const [receipts, ledger, headers] = await Promise.all([
      this.#receipts(network, event),
      this.#ledger(network, event),
      this.store.headers(network, event.blockNumber, through),
    ]);
    await this.accessLog.record(caller, { kind: 'audit', recordId: event.recordId, detail: { proof: id } });
    const last = headers.at(-1);
    if (!last) throw new ProblemError('NOT_FOUND');
    return {
      format: 'emr-proof/1',
      contract: toHex(networkOf(this.networks, network).contract),
      event: { sequence: event.sequence, topics: topicsOf(event).map(toHex), data: toHex(event.data) },
      receipt: { index: String(event.transactionIndex), rlp: toHex(receipts.receipt) },
      path: receipts.path.map(toHex),
      ...ledger,
      headers: headers.map(({ header }) => toHex(header)),
      checkpoint: { number: through, hash: toHex(last.hash) },
    };
  }

  /** The block that the headers end with. */
  async #through(network: string, event: ProvableEvent, query: ProofQuery): Promise<string> {
    const [from, final] = [BigInt(event.blockNumber), BigInt(event.finalNumber)];
    const farthest = final < from + MOST_HEADERS ? final : from + MOST_HEADERS - 1n;
    if (query.through === undefined) {
      return (await this.store.checkpointFrom(network, event.blockNumber, String(farthest))) ?? String(farthest);
    }
    const asked = BigInt(query.through);
    if (asked < from || asked > farthest) {
      throw new ProblemError('CONFLICT', {
        detail: `The headers of this proof can end with blocks ${from} to ${farthest}; ask for one of those in "through".`,
      });
    }
    return String(asked);
  }

  /** Receipts aren't kept here. The node's are believed once they give the root that the verified header has. */
  async #receipts(network: string, event: ProvableEvent): Promise<{ receipt: Buffer; path: Buffer[] }> {
    const reader = new ChainReader(this.nodes.transport(network));
    const receipts = await reader.blockReceipts(event.blockHash);
    if (!receipts) {
      throw unavailable(
        `The node does not have block ${event.blockNumber}, which it had before; try again once it has caught up.`,
      );
    }
    const encoded = receipts.map(encodeReceipt);
    const receipt = encoded[event.transactionIndex];
    const path = receipt && orderedTriePath(encoded, event.transactionIndex);
    if (!receipt || !path?.root.equals(event.receiptsRoot)) {
      throw unavailable(
        `The node gave other receipts than block ${event.blockNumber} commits to; have the operator look at the node.`,
      );
    }
    return { receipt, path: path.nodes };
  }

  /** Where the ledger stood before the event's transaction, and after it. */
  async #ledger(network: string, event: ProvableEvent): Promise<Pick<EventProof, 'previous' | 'reached'>> {
    const [before, events] = await Promise.all([
      this.store.before(network, event.blockNumber),
      this.store.eventsOf(network, event.blockNumber),
    ]);
    if (!before) throw new ProblemError('NOT_FOUND');
    const start = { sequence: BigInt(before.sequence), head: before.head };
    const earlier = events.filter(({ transactionIndex }) => transactionIndex < event.transactionIndex);
    const own = events.filter(({ transactionIndex }) => transactionIndex === event.transactionIndex);
    const previous = foldEvents(start, earlier);
    return { previous: present(previous), reached: present(foldEvents(previous, own)) };
  }
}

/** The node is there and doesn't help. */
export function unavailable(detail: string): ProblemError {
  return new ProblemError('CHAIN_UNAVAILABLE', { detail, retryAfter: 10 });
}

interface Point {
  sequence: bigint;
  head: Buffer;
}

function foldEvents(from: Point, events: readonly EventLog[]): Point {
  return events.reduce(({ sequence, head }, event) => {
    const leaf = leafOf({ topics: [event.topics], data: event.data });
    return { sequence: sequence + 1n, head: foldHead(head, sequence + 1n, leaf) };
  }, from);
}

export function topicsOf({ topics }: Pick<EventLog, 'topics'>): Buffer[] {
  return Array.from({ length: topics.length / 32 }, (_, index) => topics.subarray(32 * index, 32 * index + 32));
}

function present({ sequence, head }: Point): { sequence: string; head: string } {
  return { sequence: String(sequence), head: toHex(head) };
}
