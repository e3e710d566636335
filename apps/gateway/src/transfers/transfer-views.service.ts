import { Inject, Injectable } from '@nestjs/common';
import { reasonName } from '../../../../libs/contracts/src/operations.js';
import { toHex } from '../../../../libs/platform/src/bytes.js';
import { ProblemError } from '../../../../libs/platform/src/errors.js';
import type { NetworksConfig } from '../../../../libs/platform/src/networks.js';
import { AccessLog } from '../audit/access-log.service.js';
import type { Caller } from '../auth/caller.js';
import { NETWORKS } from '../core.tokens.js';
import { GATEWAY_ENV, type GatewayEnv } from '../gateway.env.js';
import { bytesOf, toInstant } from '../http/fields.js';
import { type ObservedAct, SagaFacts } from './saga/saga.facts.js';
import type { Transfer, TransferDetail, TransferListQuery, TransferStep } from './transfer.schema.js';
import { type MirroredTransfer, type TransferRow, TransfersStore } from './transfers.store.js';

type TransferInList = TransferRow & { createdAtText: string; view: Transfer };

/** Transfers as the API shows them: this side's row joined with what the ledgers say. */
@Injectable()
export class TransferViews {
  constructor(
    private readonly store: TransfersStore,
    private readonly facts: SagaFacts,
    private readonly accessLog: AccessLog,
    @Inject(NETWORKS) private readonly networks: NetworksConfig,
    @Inject(GATEWAY_ENV) private readonly env: Pick<GatewayEnv, 'HOSPITAL_ID'>,
  ) {}

  /** @throws ProblemError NOT_FOUND */
  async require(id: Buffer): Promise<TransferRow> {
    const row = await this.store.find(id);
    if (!row) throw new ProblemError('NOT_FOUND');
    return row;
  }

  /** @throws ProblemError NOT_FOUND */
  async one(id: Buffer): Promise<TransferDetail> {
    const row = await this.require(id);
    const observed = await (row.direction === 'outgoing' ? this.facts.outgoing(row) : this.facts.incoming(row));
    const steps = order.flatMap((name): TransferStep[] => {
      const act = observed.acts.get(name);
      return act?.trace ? [presentStep(name, act)] : [];
    });
    return { ...this.#present(row, observed.ledger), steps };
  }

  /** `one`, as a look of its own. @throws ProblemError NOT_FOUND */
  async lookAt(caller: Caller, id: Buffer): Promise<TransferDetail> {
    const transfer = await this.one(id);
    await this.accessLog.record(caller, { kind: 'transfer', recordId: bytesOf(transfer.recordId), requestId: id });
    return transfer;
  }

  /** Newest first; one row more than `limit` when there are more. */
  async look(
    caller: Caller,
    query: TransferListQuery,
    before?: { createdAt: string; id: Buffer },
  ): Promise<TransferInList[]> {
    const { limit, direction, recordId } = query;
    const rows = await this.#list(query, before);
    await this.accessLog.record(caller, {
      kind: 'transfer-list',
      ...(recordId ? { recordId: bytesOf(recordId) } : {}),
      detail: { ...(direction ? { direction } : {}), found: Math.min(rows.length, limit) },
    });
    return rows;
  }

  async #list(
    query: Pick<TransferListQuery, 'limit' | 'direction' | 'recordId'>,
    before?: { createdAt: string; id: Buffer },
  ): Promise<TransferInList[]> {
    const rows = await this.store.list({
      limit: query.limit + 1,
      ...(before ? { before } : {}),
      ...(query.direction ? { direction: query.direction } : {}),
      ...(query.recordId ? { recordId: bytesOf(query.recordId) } : {}),
    });
    const ledger = await this.store.mirroredAll(
      this.networks.global,
      rows.map(({ id }) => id),
    );
    return rows.map((row) => ({
      ...row,
      view: this.#present(
        row,
        ledger.find(({ id }) => id.equals(row.id)),
      ),
    }));
  }

  #present(row: TransferRow, ledger: MirroredTransfer | undefined): Transfer {
    const own = this.env.HOSPITAL_ID;
    const outgoing = row.direction === 'outgoing';
    const id = toHex(row.id);
    const received = row.step === 'done' && row.outcome === 'completed' ? row.receivedRecordId : null;
    return {
      id,
      state: row.step === 'failed' ? 'failed' : (ledger?.state ?? row.outcome ?? 'preparing'),
      direction: row.direction,
      mode: 'copy',
      from: outgoing ? own : row.peerHospital,
      to: outgoing ? row.peerHospital : own,
      recordId: toHex(row.recordId),
      version: row.version,
      receivedRecordId: received && toHex(received),
      step: row.step,
      packageReceived: !outgoing && row.packageHash !== null,
      reason: row.reason as Transfer['reason'],
      problem: row.problem,
      expiresAt: ledger ? toInstant(ledger.expiresAt) : null,
      createdAt: toInstant(row.createdAt),
      updatedAt: toInstant(row.updatedAt),
      links: {
        self: `/v1/transfers/${id}`,
        record: `/v1/emrs/${toHex(row.recordId)}`,
        ...(received ? { receivedRecord: `/v1/emrs/${toHex(received)}` } : {}),
      },
    };
  }
}

const order = ['freeze', 'publish', 'relate', 'propose', 'accept', 'complete', 'expire', 'open', 'unfreeze'] as const;

function presentStep(name: string, { state, trace }: ObservedAct): TransferStep {
  return {
    name,
    state: state === 'none' ? 'pending' : state,
    ...(trace?.network ? { network: trace.network } : {}),
    ...(trace?.outcome ? { reason: reasonName(trace.outcome) } : {}),
    links: {
      ...(trace?.operationId ? { operation: `/v1/operations/${trace.operationId}` } : {}),
      ...(trace?.sequence ? { event: `/v1/audit/events/ev_${trace.network}_${trace.sequence}` } : {}),
    },
  };
}
