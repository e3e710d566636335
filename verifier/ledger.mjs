// What the ledger contract writes, and how it chains it: solidity/interfaces/IEmrLedger.sol of the product.
import { check, Fault } from './fault.mjs';
import { hex, instant } from './fields.mjs';
import { keccak256 } from './keccak.mjs';
import { decodeRlp, rlpInteger } from './rlp.mjs';

/** The head of a ledger, or of a record, without events. */
export const ZERO_HEAD = Buffer.alloc(32);

/** leaf = keccak256(topics ‖ data): what a sequenced event adds to the heads. */
export function leafOf(topics, data) {
  return keccak256(...topics, data);
}

/** head = keccak256(previous head, sequence, leaf), each a word of 32 bytes. The same for the ledger and for each record. */
export function fold(previousHead, sequence, leaf) {
  return keccak256(previousHead, word(sequence), leaf);
}

/** @param {bigint} value @returns {Buffer} 32 bytes */
export function word(value) {
  return Buffer.from(value.toString(16).padStart(64, '0'), 'hex');
}

// --- events ------------------------------------------------------------------------------------------------------------------

// Topics of a sequenced event: its signature's hash, sequence, record, actor. Data, before its own words: request, the record's sequence,
// the record's head before the event, authentication context, hospital.
const FRAME = ['uint64', 'bytes32', 'address', 'bytes32', 'uint64', 'bytes32', 'bytes32', 'uint32'];
const FRAME_DATA_WORDS = 5;
const HOSPITAL = 'uint32,address,bytes32,bytes32,uint32,bytes32';
// Each event's own words, the operation that it is the success of, and, where it has one, the word that is the purpose of use.
const EVENTS = {
  AccessDenied: { words: 'uint8,uint8' },
  HospitalRegistered: { words: HOSPITAL, operation: 'VOTE_ADMIT' },
  HospitalUpdated: { words: HOSPITAL, operation: 'UPDATE_HOSPITAL' },
  HospitalStatusChanged: { words: 'uint32,bool', operation: 'VOTE_STATUS' },
  RelayerChanged: { words: 'uint32,address,bool', operation: 'SET_RELAYER' },
  VoteCast: { words: 'bytes32,uint32,uint32', operation: 'OPERATION_0' }, // the event alone doesn't tell on what
  ActorRegistered: { words: 'address,uint16,uint8', operation: 'REGISTER_ACTOR' },
  ActorStatusChanged: { words: 'address,bool', operation: 'SET_ACTOR_STATUS' },
  TeamMemberChanged: { words: 'address,address,bool', operation: 'SET_TEAM_MEMBER' },
  RecordOpened: { words: 'uint32,bytes32,uint8,address,bytes32,bytes32', operation: 'OPEN' },
  RecordAmended: { words: 'uint32,bytes32,bytes32', operation: 'AMEND' },
  RecordQueried: { words: 'uint32,uint16,uint32,bytes32', operation: 'QUERY', purpose: 1 },
  RecordClosed: { words: 'uint16', operation: 'CLOSE' },
  RecordReopened: { words: 'uint16', operation: 'REOPEN' },
  RelationStarted: { words: 'address,uint64', operation: 'RELATE' },
  RelationEnded: { words: 'address', operation: 'UNRELATE' },
  AccessGranted: {
    words: 'bytes32,address,uint32,uint32,uint16,uint64,uint64,bytes32',
    operation: 'GRANT',
    purpose: 4,
  },
  AccessRevoked: { words: 'bytes32,uint16', operation: 'REVOKE' },
  RecordFrozen: { words: 'bytes32,uint32,bytes32', operation: 'FREEZE' },
  RecordUnfrozen: { words: 'bytes32,uint8,bytes32', operation: 'UNFREEZE' },
  TransferProposed: { words: 'bytes32,uint32,uint32,bytes32,uint8,uint64,bytes32', operation: 'PROPOSE' },
  TransferAccepted: { words: 'bytes32,bytes32', operation: 'ACCEPT' },
  TransferCompleted: { words: 'bytes32', operation: 'COMPLETE' },
  TransferRejected: { words: 'bytes32,uint16', operation: 'REJECT' },
  TransferCancelled: { words: 'bytes32,uint16', operation: 'CANCEL' },
  TransferExpired: { words: 'bytes32', operation: 'EXPIRE' },
  LedgerAnchored: {
    words: 'uint64,uint64,bytes32,uint64,bytes32,uint64,bytes32,uint64,bytes32',
    operation: 'ANCHOR_LEDGER',
  },
};
const OPERATIONS = {
  ...{
    1: 'OPEN',
    2: 'RELATE',
    3: 'UNRELATE',
    4: 'AMEND',
    5: 'QUERY',
    6: 'CLOSE',
    7: 'REOPEN',
    8: 'GRANT',
    9: 'REVOKE',
  },
  ...{
    16: 'FREEZE',
    17: 'PROPOSE',
    19: 'ACCEPT',
    20: 'COMPLETE',
    21: 'REJECT',
    22: 'CANCEL',
    23: 'EXPIRE',
    26: 'UNFREEZE',
  },
  ...{ 48: 'REGISTER_ACTOR', 49: 'SET_ACTOR_STATUS', 50: 'SET_TEAM_MEMBER', 56: 'UPDATE_HOSPITAL', 57: 'SET_RELAYER' },
  ...{ 58: 'VOTE_ADMIT', 59: 'VOTE_STATUS', 60: 'VOTE_THRESHOLD', 61: 'ANCHOR_LEDGER' },
};
// In the order of their codes, from 1.
const REASONS =
  `MALFORMED DEADLINE_PASSED UNKNOWN_OPERATION ACTOR_UNKNOWN ACTOR_SUSPENDED ROLE_MISSING RECORD_UNKNOWN RECORD_EXISTS
  RECORD_CLOSED RECORD_FROZEN NOT_CUSTODIAN NO_RELATION VERSION_STALE LEVEL_ASKS_MORE GRANT_UNKNOWN GRANT_EXISTS GRANT_INACTIVE
  CONSENT_MISSING TRANSFER_UNKNOWN TRANSFER_LIVE TRANSFER_STATE TRANSFER_PARTY TRANSFER_EXPIRED CONTENT_MISMATCH NOT_SUPPORTED
  HOSPITAL_UNKNOWN HOSPITAL_EXISTS ACTOR_EXISTS RELATION_UNKNOWN NOT_REGISTRAR ALREADY_SO PURPOSE_MISSING ANCHOR_BROKEN`.split(
    /\s+/,
  );
const PURPOSES = ['PURPOSE_0', 'TREAT', 'ETREAT', 'HPAYMT', 'HOPERAT', 'PATRQT', 'HRESCH', 'PUBHLTH'];

const byTopic = new Map(
  Object.entries(EVENTS).map(([type, event]) => {
    const words = event.words.split(',');
    const signature = `${type}(${[...FRAME, ...words].join(',')})`;
    return [hex(keccak256(Buffer.from(signature))), { type, ...event, dataWords: FRAME_DATA_WORDS + words.length }];
  }),
);
const HEAD_TOPIC = keccak256(Buffer.from('Head(uint64,bytes32)'));

/**
 * A sequenced event in plain words. A code that this program doesn't know is named like `REASON_99`.
 * @param {Buffer[]} topics @param {Buffer} data
 */
export function readEvent(topics, data, what) {
  const event = byTopic.get(hex(topics[0]));
  if (!event) throw new Fault(`${what} is no event of the ledger`);
  check(
    data.length === 32 * event.dataWords,
    `${what} has ${data.length} bytes of data where ${32 * event.dataWords} are due`,
  );
  const dataWord = (index) => data.subarray(32 * index, 32 * index + 32);
  const number = (bytes) => BigInt(hex(bytes));
  const own = (index) => Number(number(dataWord(FRAME_DATA_WORDS + index)));
  const denied = event.type === 'AccessDenied';
  const purpose = event.purpose === undefined ? undefined : own(event.purpose);
  return {
    type: event.type,
    sequence: number(topics[1]),
    recordId: topics[2],
    actor: topics[3].subarray(12),
    requestId: dataWord(0),
    recordSequence: number(dataWord(1)),
    recordHead: dataWord(2),
    hospital: number(dataWord(4)),
    operation: denied ? (OPERATIONS[own(0)] ?? `OPERATION_${own(0)}`) : event.operation,
    outcome: denied ? (REASONS[own(1) - 1] ?? `REASON_${own(1)}`) : 'OK',
    purpose: purpose === undefined ? null : (PURPOSES[purpose] ?? `PURPOSE_${purpose}`),
  };
}

export function describe(event) {
  const purpose = event.purpose ? ` for ${event.purpose}` : '';
  const record = event.recordId.every((byte) => byte === 0) ? '' : ` on record ${hex(event.recordId)}`;
  return `${event.operation} by ${hex(event.actor)} of hospital ${event.hospital}${record}${purpose}: ${event.outcome}`;
}

// --- blocks and receipts --------------------------------------------------------------------------------------------------------

/** @param {Buffer} encoded a block's header, RLP */
export function readHeader(encoded, what) {
  const fields = decodeRlp(encoded, what);
  check(Array.isArray(fields) && fields.length >= 15, `${what} is not a block header`);
  return {
    hash: keccak256(encoded),
    parentHash: fields[0],
    stateRoot: fields[3],
    receiptsRoot: fields[5],
    number: rlpInteger(fields[8], `the number in ${what}`),
    time: instant(1000n * rlpInteger(fields[11], `the time in ${what}`), `the time in ${what}`),
  };
}

/** Logs of a receipt (EIP-658), which may begin with the byte of its type (EIP-2718). */
export function readReceipt(encoded, what) {
  const fields = decodeRlp(encoded[0] >= 0xc0 ? encoded : encoded.subarray(1), what);
  check(Array.isArray(fields) && fields.length === 4, `${what} is not a receipt`);
  return fields[3].map(([address, topics, data]) => ({ address, topics, data }));
}

/** Only sequenced events have four topics; a bad signature, a duplicate or a mismatch has no place in the sequence. */
export function isSequenced(log) {
  return log.topics.length === 4;
}

/** The `Head` event's sequence and head; undefined for another log. */
export function readHead(log) {
  if (log.topics.length !== 1 || !log.topics[0].equals(HEAD_TOPIC) || log.data.length !== 64) return undefined;
  return { sequence: BigInt(hex(log.data.subarray(0, 32))), head: log.data.subarray(32) };
}
