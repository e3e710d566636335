import { type SequencedEvent } from '../../../../libs/contracts/src/event.codec.js';
import { Operation } from '../../../../libs/contracts/src/operations.js';
import type { FoldedBlock, PlacedEvent, PlacedNotice } from '../verify/ledger.fold.js';
import type { Senders } from './senders.js';
import { defineTable, type RowOf } from './table.js';

export const blockTable = defineTable(
  'block',
  {
    number: 'int8',
    hash: 'bytea',
    parentHash: 'bytea',
    time: 'int8',
    receiptsRoot: 'bytea',
    header: 'bytea',
    raw: 'bytea?',
    logCount: 'int4',
    verified: 'bool',
    sequence: 'int8',
    head: 'bytea',
  },
  ['number'],
);

export const eventTable = defineTable(
  'emr_event',
  {
    sequence: 'int8',
    blockNumber: 'int8',
    blockHash: 'bytea',
    blockTime: 'int8',
    logIndex: 'int4',
    transactionHash: 'bytea',
    transactionIndex: 'int4',
    type: 'text',
    recordId: 'bytea',
    recordSequence: 'int8',
    hospital: 'int8',
    actor: 'bytea',
    requestId: 'bytea',
    operation: 'int2',
    outcome: 'int2',
    purpose: 'int2?',
    topics: 'bytea',
    data: 'bytea',
  },
  ['sequence'],
);

export const inclusionTable = defineTable(
  'inclusion',
  {
    transactionHash: 'bytea',
    blockNumber: 'int8',
    blockHash: 'bytea',
    transactionIndex: 'int4',
    sender: 'bytea',
    nonce: 'int8',
    status: 'int2',
    gasUsed: 'int8',
  },
  ['transactionHash'],
);

export const noticeTable = defineTable(
  'notice',
  {
    blockNumber: 'int8',
    blockHash: 'bytea',
    logIndex: 'int4',
    transactionHash: 'bytea',
    kind: 'text',
    position: 'int4',
    requestId: 'bytea?',
    sequence: 'int8?',
  },
  ['blockHash', 'logIndex'],
);

export function blockRow({ block, state, events, notices }: FoldedBlock): RowOf<typeof blockTable.columns> {
  return {
    number: block.number,
    hash: block.hash,
    parentHash: block.parentHash,
    time: block.time,
    receiptsRoot: block.receiptsRoot,
    header: block.header,
    raw: block.raw ?? null,
    logCount: events.length + notices.length,
    verified: block.verified,
    sequence: state.sequence,
    head: state.head,
  };
}

export function eventRow(placed: PlacedEvent): RowOf<typeof eventTable.columns> {
  const { event, block } = placed;
  const denied = event.type === 'AccessDenied';
  return {
    sequence: event.sequence,
    blockNumber: block.number,
    blockHash: block.hash,
    blockTime: block.time,
    logIndex: placed.logIndex,
    transactionHash: placed.transactionHash,
    transactionIndex: placed.transactionIndex,
    type: event.type,
    recordId: event.recordId,
    recordSequence: event.recordSequence,
    hospital: BigInt(event.hospital),
    actor: event.actor,
    requestId: event.requestId,
    operation: denied ? event.operation : operations[event.type],
    outcome: denied ? event.reason : 0,
    purpose: event.type === 'RecordQueried' || event.type === 'AccessGranted' ? event.purpose : null,
    topics: placed.topics,
    data: placed.data,
  };
}

export function inclusionRows(
  { block, events }: FoldedBlock,
  senders: Senders,
): RowOf<typeof inclusionTable.columns>[] {
  return senders.of(block.transactions, events).map(([transaction, sender]) => ({
    transactionHash: transaction.hash,
    blockNumber: block.number,
    blockHash: block.hash,
    transactionIndex: transaction.index,
    sender,
    nonce: transaction.nonce,
    status: transaction.status,
    gasUsed: transaction.gasUsed,
  }));
}

const noticeKinds = { BadSignature: 'bad-signature', Duplicate: 'duplicate', Mismatch: 'mismatch' } as const;

export function noticeRow({ notice, ...placed }: PlacedNotice): RowOf<typeof noticeTable.columns> {
  const answered = notice.type !== 'BadSignature';
  return {
    blockNumber: placed.block.number,
    blockHash: placed.block.hash,
    logIndex: placed.logIndex,
    transactionHash: placed.transactionHash,
    kind: noticeKinds[notice.type],
    position: notice.position,
    requestId: answered ? notice.requestId : null,
    sequence: answered ? notice.sequence : null,
  };
}

/** The operation that each success event is of. 0 where the event alone doesn't tell: a vote may be on any governed change. */
const operations: Record<Exclude<SequencedEvent['type'], 'AccessDenied'>, number> = {
  HospitalRegistered: Operation.VOTE_ADMIT,
  HospitalUpdated: Operation.UPDATE_HOSPITAL,
  HospitalStatusChanged: Operation.VOTE_STATUS,
  RelayerChanged: Operation.SET_RELAYER,
  VoteCast: 0,
  ActorRegistered: Operation.REGISTER_ACTOR,
  ActorStatusChanged: Operation.SET_ACTOR_STATUS,
  TeamMemberChanged: Operation.SET_TEAM_MEMBER,
  RecordOpened: Operation.OPEN,
  RecordAmended: Operation.AMEND,
  RecordQueried: Operation.QUERY,
  RecordClosed: Operation.CLOSE,
  RecordReopened: Operation.REOPEN,
  RelationStarted: Operation.RELATE,
  RelationEnded: Operation.UNRELATE,
  AccessGranted: Operation.GRANT,
  AccessRevoked: Operation.REVOKE,
  RecordFrozen: Operation.FREEZE,
  RecordUnfrozen: Operation.UNFREEZE,
  TransferProposed: Operation.PROPOSE,
  TransferAccepted: Operation.ACCEPT,
  TransferCompleted: Operation.COMPLETE,
  TransferRejected: Operation.REJECT,
  TransferCancelled: Operation.CANCEL,
  TransferExpired: Operation.EXPIRE,
  LedgerAnchored: Operation.ANCHOR_LEDGER,
};
