import type { DataSource } from 'typeorm';
import { type DerivedState, deriveState } from './operation.state.js';
import type {
  OperationFailure,
  OperationPhase,
  OperationView,
  TransactionState,
  TransactionView,
} from './operation.types.js';

export interface OperationPage {
  /** Only operations of this principal; undefined: of all. */
  principal?: Buffer;
  /** Only those accepted before this ordinal: the last of the page before. */
  before?: bigint;
  limit: number;
  type?: string;
  recordId?: Buffer;
  network?: string;
}

interface ViewRecord {
  ordinal: string;
  id: string;
  type: string;
  code: number;
  network: string;
  record_id: Buffer;
  request_id: Buffer;
  actor: Buffer;
  principal: Buffer;
  body_hash: Buffer;
  parent_id: string | null;
  phase: OperationPhase;
  failure: OperationFailure | null;
  created_at: Date;
  updated_at: Date;
  transaction_state: TransactionState | null;
  nonce: string | null;
  hash: Buffer | null;
  included_number: string | null;
  included_hash: Buffer | null;
  status: number | null;
  sequence: string | null;
  event_type: string | null;
  reason: number | null;
  event_number: string | null;
  event_block: Buffer | null;
  event_transaction: Buffer | null;
  event_nonce: string | null;
  notice: 'bad-signature' | 'mismatch' | 'duplicate' | null;
  tip: string | null;
  final_number: string | null;
}

// One row per operation: its last ride, that ride's attempt in a block (else the newest), the ledger's event and notice.
// A NOOP carries nobody. Which event is this operation's: see `isItsEvent`.
const VIEW = `
SELECT o.ordinal, o.id, o.type, o.code, o.network, o.record_id, o.request_id, o.actor, o.principal, o.body_hash, o.parent_id,
  o.phase, o.failure, o.created_at, o.updated_at,
  ride.state AS transaction_state, ride.nonce, attempt.hash, attempt.block_number AS included_number,
  attempt.block_hash AS included_hash, attempt.status,
  e.sequence, e.type AS event_type, e.outcome AS reason, e.block_number AS event_number, e.block_hash AS event_block,
  e.transaction_hash AS event_transaction, e.nonce AS event_nonce, n.kind AS notice, c.number AS tip, c.final_number
FROM gateway.operation o
LEFT JOIN LATERAL (
  SELECT t.id, t.state, t.nonce, r.position
  FROM gateway.transaction_operation r JOIN gateway.transaction t ON t.id = r.transaction_id
  WHERE r.operation_ordinal = o.ordinal ORDER BY t.id DESC LIMIT 1
) ride ON true
LEFT JOIN LATERAL (
  SELECT a.hash, i.block_number, i.block_hash, i.status
  FROM gateway.attempt a LEFT JOIN mirror.inclusion i ON i.network = o.network AND i.transaction_hash = a.hash
  WHERE a.transaction_id = ride.id AND a.kind <> 'noop' ORDER BY i.block_number NULLS LAST, a.number DESC LIMIT 1
) attempt ON true
LEFT JOIN LATERAL (
  SELECT v.sequence, v.type, v.outcome, v.block_number, v.block_hash, v.transaction_hash, i.nonce
  FROM mirror.emr_event v
  LEFT JOIN mirror.inclusion i ON i.network = v.network AND i.transaction_hash = v.transaction_hash
  WHERE v.request_id = o.request_id AND v.network = o.network AND v.hospital = $1
  ORDER BY v.sequence LIMIT 1
) e ON true
LEFT JOIN LATERAL (
  SELECT m.kind FROM mirror.notice m
  WHERE m.transaction_hash = attempt.hash AND m.network = o.network AND m.position = ride.position
    LIMIT 1
) n ON true
LEFT JOIN mirror.cursor c ON c.network = o.network`;

/** Reads operations with the state the chain gives them. */
export class OperationReader {
  /** @param hospitalId on-chain id of this hospital */
  constructor(
    private readonly dataSource: DataSource,
    private readonly hospitalId: number,
  ) {}

  async byId(id: string): Promise<OperationView | undefined> {
    const [view] = await this.read('WHERE o.id = $2', [id]);
    return view;
  }

  /** In the order of the request ids; undefined where there is none. */
  async byRequestIds(network: string, requestIds: readonly Buffer[]): Promise<(OperationView | undefined)[]> {
    if (requestIds.length === 0) return [];
    const views = await this.read('WHERE o.network = $2 AND o.request_id = ANY($3)', [network, requestIds]);
    const found = new Map(views.map((view) => [view.requestId.toString('latin1'), view]));
    return requestIds.map((requestId) => found.get(requestId.toString('latin1')));
  }

  /** The operations made together with this one, in order of acceptance. */
  async children(parentId: string): Promise<OperationView[]> {
    return this.read('WHERE o.parent_id = $2 ORDER BY o.ordinal', [parentId]);
  }

  /** Newest first. */
  async list(page: OperationPage): Promise<OperationView[]> {
    const conditions: string[] = [];
    const values: unknown[] = [];
    const add = (condition: string, value: unknown) => {
      if (value === undefined) return;
      values.push(typeof value === 'bigint' ? String(value) : value);
      conditions.push(condition.replace('?', `$${values.length + 1}`));
    };
    add('o.principal = ?', page.principal);
    add('o.ordinal < ?', page.before);
    add('o.type = ?', page.type);
    add('o.record_id = ?', page.recordId);
    add('o.network = ?', page.network);
    const where = conditions.length === 0 ? '' : `WHERE ${conditions.join(' AND ')}`;
    return this.read(`${where} ORDER BY o.ordinal DESC LIMIT ${Math.trunc(page.limit)}`, values);
  }

  private async read(tail: string, values: unknown[]): Promise<OperationView[]> {
    const records: ViewRecord[] = await this.dataSource.query(`${VIEW} ${tail}`, [this.hospitalId, ...values]);
    return records.map(viewOf);
  }
}

/** `ev_<network>_<sequence>` */
export function eventId(network: string, sequence: string | bigint): string {
  return `ev_${network}_${sequence}`;
}

/**
 * The ledger has one event per hospital and request id. It is this operation's when the operation's own transaction caused it, or
 * the ledger called that one a duplicate of it. Else (after a lost database) the id may stand for another act: time will tell.
 */
function isItsEvent(record: ViewRecord): boolean {
  if (record.event_transaction === null || record.hash === null) return false;
  return record.event_transaction.equals(record.hash) || record.notice === 'duplicate';
}

function viewOf(record: ViewRecord): OperationView {
  const transaction = transactionOf(record);
  return {
    id: record.id,
    ordinal: BigInt(record.ordinal),
    type: record.type,
    code: record.code,
    ...stateOf(record),
    network: record.network,
    recordId: record.record_id,
    requestId: record.request_id,
    actor: record.actor,
    principal: record.principal,
    bodyHash: record.body_hash,
    parentId: record.parent_id,
    ...(transaction === undefined ? {} : { transaction }),
    ...(record.sequence === null || !isItsEvent(record) ? {} : { event: eventId(record.network, record.sequence) }),
    createdAt: record.created_at,
    updatedAt: record.updated_at,
  };
}

function stateOf(record: ViewRecord): DerivedState {
  return deriveState({
    phase: record.phase,
    failure: record.failure,
    transactionState: record.transaction_state,
    inclusion:
      record.included_number === null
        ? null
        : { blockNumber: BigInt(record.included_number), status: record.status ?? 0 },
    event:
      record.event_number === null || !isItsEvent(record)
        ? null
        : {
            blockNumber: BigInt(record.event_number),
            denied: record.event_type === 'AccessDenied',
            reason: record.reason ?? 0,
          },
    notice: record.notice === 'duplicate' ? null : record.notice,
    finalNumber: BigInt(record.final_number ?? -1),
  });
}

/** The transaction that carried the event; before there is one, the one the act rides in. */
function transactionOf(record: ViewRecord): TransactionView | undefined {
  const inBlock = (number: string, blockHash: Buffer | null) => ({
    blockNumber: BigInt(number),
    ...(blockHash === null ? {} : { blockHash }),
    confirmations: Number(BigInt(record.tip ?? number) - BigInt(number)) + 1,
  });
  if (record.event_transaction !== null && record.event_number !== null && isItsEvent(record)) {
    const nonce = Number(record.event_nonce ?? record.nonce ?? 0);
    return { hash: record.event_transaction, nonce, ...inBlock(record.event_number, record.event_block) };
  }
  if (record.hash === null || record.phase === 'accepted') return undefined;
  const included = record.included_number === null ? {} : inBlock(record.included_number, record.included_hash);
  return { hash: record.hash, nonce: Number(record.nonce), ...included };
}
