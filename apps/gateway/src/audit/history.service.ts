import { RLP } from '@ethereumjs/rlp';
import { Inject, Injectable } from '@nestjs/common';
import { RpcError } from '../../../../libs/chain-client/src/rpc/rpc.error.js';
import { recordSlots } from '../../../../libs/contracts/src/storage.js';
import { fromHex, toHex } from '../../../../libs/platform/src/bytes.js';
import { ProblemError } from '../../../../libs/platform/src/errors.js';
import { keccak256 } from '../../../../libs/platform/src/keccak.js';
import { type NetworksConfig, networkOf } from '../../../../libs/platform/src/networks.js';
import type { Caller } from '../auth/caller.js';
import { NETWORKS } from '../core.tokens.js';
import { Nodes } from '../networks/nodes.js';
import { AccessLog } from './access-log.service.js';
import { AuditService } from './audit.service.js';
import type { HistoryProof, HistoryQuery } from './history.schema.js';
import { topicsOf, unavailable } from './proof.service.js';
import { ProofStore } from './proof.store.js';

/** About 1 kB each. Longer histories are for an export. */
const MOST_EVENTS = 20_000;
const STATE_ROOT = 3;

/** EIP-1186, as far as it is used. */
interface StateProof {
  accountProof: string[];
  storageProof: { proof: string[] }[];
}

/** Proofs that a record's history is whole, for its patient above all. */
@Injectable()
export class HistoryService {
  constructor(
    private readonly audit: AuditService,
    private readonly store: ProofStore,
    private readonly nodes: Nodes,
    private readonly accessLog: AccessLog,
    @Inject(NETWORKS) private readonly networks: NetworksConfig,
  ) {}

  /**
   * @throws ProblemError NOT_FOUND when the ledger asked for has no such record, or none that the caller may see; CONFLICT when it has too many
   *   events; CHAIN_UNAVAILABLE when the node doesn't give the state of the last final block
   */
  async proofOf(caller: Caller, recordId: Buffer, query: HistoryQuery): Promise<HistoryProof> {
    await this.audit.requireOwn(caller, recordId);
    const name = query.network ?? this.networks.local;
    if (!this.networks.networks.some((network) => network.name === name)) throw new ProblemError('NOT_FOUND');
    const { contract } = networkOf(this.networks, name);
    const block = await this.store.finalBlock(name);
    const events = block ? await this.store.historyOf(name, recordId, block.number, MOST_EVENTS + 1) : [];
    if (!block || events.length === 0) throw new ProblemError('NOT_FOUND');
    if (events.length > MOST_EVENTS) {
      throw new ProblemError('CONFLICT', {
        detail: `The record has more than ${MOST_EVENTS} events: ask an auditor for an export of it, which verifies as well.`,
      });
    }
    const state = await this.#state(name, contract, recordId, block);
    await this.accessLog.record(caller, { kind: 'audit', recordId, detail: { history: name, found: events.length } });
    return {
      format: 'emr-history/1',
      contract: toHex(contract),
      recordId: toHex(recordId),
      events: events.map((event) => ({ topics: topicsOf(event).map(toHex), data: toHex(event.data) })),
      header: toHex(block.header),
      ...state,
      checkpoint: { number: block.number, hash: toHex(block.hash) },
    };
  }

  async #state(
    network: string,
    contract: Buffer,
    recordId: Buffer,
    block: { number: string; header: Buffer },
  ): Promise<Pick<HistoryProof, 'account' | 'sequence' | 'head'>> {
    const slots = recordSlots(recordId);
    const transport = this.nodes.transport(network);
    const asked = [
      toHex(contract),
      [toHex(slots.sequence), toHex(slots.head)],
      `0x${BigInt(block.number).toString(16)}`,
    ];
    const state = await transport.request<StateProof>('eth_getProof', asked).catch((error: unknown) => {
      // Only the newest blocks' state is kept by a node that isn't an archive.
      if (!(error instanceof RpcError) || !error.answered) throw error;
      throw unavailable(
        `The node has no state of block ${block.number} any more: the mirror is far behind it, or it is no archive node.`,
      );
    });
    const [sequence, head] = state.storageProof;
    const root = (RLP.decode(block.header) as Uint8Array[])[STATE_ROOT] as Uint8Array;
    if (!state.accountProof[0] || !keccak256(fromHex(state.accountProof[0])).equals(root) || !sequence || !head) {
      throw unavailable(
        `The node gave the state of another block than ${block.number}; try again, and have the operator look at it if it stays.`,
      );
    }
    return { account: state.accountProof, sequence: sequence.proof, head: head.proof };
  }
}
