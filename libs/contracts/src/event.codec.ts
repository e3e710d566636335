import { keccak256 } from '../../platform/src/keccak.js';
import { type Layout, readWord, type Values, type WordType } from './words.js';

/** A log as the chain has it: topics of 32 bytes each, data of whole words. */
export interface Log {
  address?: Buffer;
  topics: Buffer[];
  data: Buffer;
}

/** The frame that every sequenced event shares (solidity/interfaces/IEmrLedger.sol). */
export interface EventFrame {
  sequence: bigint;
  recordId: Buffer;
  actor: Buffer;
  requestId: Buffer;
  recordSequence: bigint;
  /** The record's head before this event. */
  recordHead: Buffer;
  authContext: Buffer;
  hospital: number;
}

const hospitalWords = {
  id: 'uint32',
  registrar: 'address',
  identityKey: 'bytes32',
  transferKey: 'bytes32',
  transferKeyId: 'uint32',
  endpointHash: 'bytes32',
} as const;

/** The words each sequenced event adds to the frame. */
const layouts = {
  AccessDenied: { operation: 'uint8', reason: 'uint8' },
  HospitalRegistered: hospitalWords,
  HospitalUpdated: hospitalWords,
  HospitalStatusChanged: { id: 'uint32', active: 'bool' },
  RelayerChanged: { id: 'uint32', relayer: 'address', active: 'bool' },
  VoteCast: { change: 'bytes32', votes: 'uint32', threshold: 'uint32' },
  ActorRegistered: { account: 'address', roles: 'uint16', custody: 'uint8' },
  ActorStatusChanged: { account: 'address', active: 'bool' },
  TeamMemberChanged: { team: 'address', member: 'address', active: 'bool' },
  RecordOpened: {
    version: 'uint32',
    contentHash: 'bytes32',
    level: 'uint8',
    subject: 'address',
    origin: 'bytes32',
    originBlock: 'bytes32',
  },
  RecordAmended: { version: 'uint32', contentHash: 'bytes32', previousHash: 'bytes32' },
  RecordQueried: { version: 'uint32', purpose: 'uint16', ttl: 'uint32', basis: 'bytes32' },
  RecordClosed: { reason: 'uint16' },
  RecordReopened: { reason: 'uint16' },
  RelationStarted: { party: 'address', until: 'uint64' },
  RelationEnded: { party: 'address' },
  AccessGranted: {
    grantId: 'bytes32',
    grantee: 'address',
    granteeHospital: 'uint32',
    operations: 'uint32',
    purpose: 'uint16',
    notBefore: 'uint64',
    notAfter: 'uint64',
    consentHash: 'bytes32',
  },
  AccessRevoked: { grantId: 'bytes32', reason: 'uint16' },
  RecordFrozen: { transferId: 'bytes32', version: 'uint32', contentHash: 'bytes32' },
  RecordUnfrozen: { transferId: 'bytes32', outcome: 'uint8', proof: 'bytes32' },
  TransferProposed: {
    transferId: 'bytes32',
    toHospital: 'uint32',
    version: 'uint32',
    contentHash: 'bytes32',
    mode: 'uint8',
    expiresAt: 'uint64',
    proof: 'bytes32',
  },
  TransferAccepted: { transferId: 'bytes32', packageHash: 'bytes32' },
  TransferCompleted: { transferId: 'bytes32' },
  TransferRejected: { transferId: 'bytes32', reason: 'uint16' },
  TransferCancelled: { transferId: 'bytes32', reason: 'uint16' },
  TransferExpired: { transferId: 'bytes32' },
  LedgerAnchored: {
    localChainId: 'uint64',
    block: 'uint64',
    blockHash: 'bytes32',
    previousSequence: 'uint64',
    previousHead: 'bytes32',
    localSequence: 'uint64',
    localHead: 'bytes32',
    accessSequence: 'uint64',
    accessHead: 'bytes32',
  },
} as const satisfies Record<string, Layout>;

type Layouts = typeof layouts;
export type SequencedEventType = keyof Layouts;
export type SequencedEventOf<T extends SequencedEventType> = { type: T } & EventFrame & Values<Layouts[T]>;
export type SequencedEvent = { [T in SequencedEventType]: SequencedEventOf<T> }[SequencedEventType];

export type HeadEvent = { type: 'Head'; sequence: bigint; head: Buffer };
export type BadSignatureEvent = { type: 'BadSignature'; relayer: Buffer; position: number };
export type DuplicateEvent = { type: 'Duplicate'; requestId: Buffer; position: number; sequence: bigint };
export type MismatchEvent = { type: 'Mismatch'; requestId: Buffer; position: number; sequence: bigint };
export type UnsequencedEvent = HeadEvent | BadSignatureEvent | DuplicateEvent | MismatchEvent;

export type LedgerEvent = SequencedEvent | UnsequencedEvent;

const WORD = 32;
const FRAME_WORDS = 5;
const frameTypes = ['uint64', 'bytes32', 'address', 'bytes32', 'uint64', 'bytes32', 'bytes32', 'uint32'];

interface SequencedLayout {
  type: SequencedEventType;
  fields: [string, WordType][];
}

const sequencedByTopic = new Map<string, SequencedLayout>();
/** topics[0] of each event, for filters. */
export const eventTopics = {} as Record<LedgerEvent['type'], Buffer>;
for (const [type, layout] of Object.entries(layouts) as [SequencedEventType, Layout][]) {
  const fields = Object.entries(layout);
  eventTopics[type] = topicOf(type, [...frameTypes, ...fields.map(([, word]) => word)]);
  sequencedByTopic.set(topicKey(eventTopics[type]), { type, fields });
}
eventTopics.Head = topicOf('Head', ['uint64', 'bytes32']);
eventTopics.BadSignature = topicOf('BadSignature', ['address', 'uint256']);
eventTopics.Duplicate = topicOf('Duplicate', ['bytes32', 'uint256', 'uint64']);
eventTopics.Mismatch = topicOf('Mismatch', ['bytes32', 'uint256', 'uint64']);
const unsequencedByTopic = new Map<string, UnsequencedEvent['type']>(
  (['Head', 'BadSignature', 'Duplicate', 'Mismatch'] as const).map((type) => [topicKey(eventTopics[type]), type]),
);

/**
 * The ledger's event in `log`; undefined when its first topic is none of the ledger's. Buffers are views of the log's.
 * @throws RangeError when the topic is the ledger's but the rest is not laid out as its event
 */
export function decodeEvent(log: Log): LedgerEvent | undefined {
  const topic = log.topics[0];
  if (!topic) return undefined;
  const key = topicKey(topic);
  const layout = sequencedByTopic.get(key);
  if (layout) return decodeSequenced(layout, log);
  const type = unsequencedByTopic.get(key);
  return type && decodeUnsequenced(type, log);
}

/** Whether the event has a place in the ledger's sequence, and so a leaf in its head. */
export function isSequenced(event: LedgerEvent): event is SequencedEvent {
  return 'recordHead' in event;
}

/** leaf = keccak256(topics ‖ data): the same act has the same leaf in whatever block. */
export function leafOf(log: Log): Buffer {
  return keccak256(...log.topics, log.data);
}

/** head = keccak256(previous, sequence as a word, leaf); for the ledger and for each record alike. From 32 zero bytes. */
export function foldHead(previous: Buffer, sequence: bigint, leaf: Buffer): Buffer {
  const word = Buffer.alloc(WORD);
  word.writeBigUInt64BE(sequence, 24);
  return keccak256(previous, word, leaf);
}

function decodeSequenced(layout: SequencedLayout, log: Log): SequencedEvent {
  const { topics, data } = log;
  expectShape(log, 4, FRAME_WORDS + layout.fields.length);
  const event: Record<string, unknown> & EventFrame = {
    type: layout.type,
    sequence: readWord(topics[1]!, 0, 'uint64') as bigint,
    recordId: topics[2]!,
    actor: readWord(topics[3]!, 0, 'address') as Buffer,
    requestId: data.subarray(0, WORD),
    recordSequence: readWord(data, WORD, 'uint64') as bigint,
    recordHead: data.subarray(2 * WORD, 3 * WORD),
    authContext: data.subarray(3 * WORD, 4 * WORD),
    hospital: readWord(data, 4 * WORD, 'uint32') as number,
  };
  let at = FRAME_WORDS * WORD;
  for (const [name, type] of layout.fields) {
    event[name] = readWord(data, at, type);
    at += WORD;
  }
  return event as unknown as SequencedEvent;
}

function decodeUnsequenced(type: UnsequencedEvent['type'], log: Log): UnsequencedEvent {
  const { topics, data } = log;
  switch (type) {
    case 'Head':
      expectShape(log, 1, 2);
      return { type, sequence: readWord(data, 0, 'uint64') as bigint, head: data.subarray(WORD, 2 * WORD) };
    case 'BadSignature':
      expectShape(log, 2, 1);
      return {
        type,
        relayer: readWord(topics[1]!, 0, 'address') as Buffer,
        position: readWord(data, 0, 'uint32') as number,
      };
    default:
      expectShape(log, 2, 2);
      return {
        type,
        requestId: topics[1]!,
        position: readWord(data, 0, 'uint32') as number,
        sequence: readWord(data, WORD, 'uint64') as bigint,
      };
  }
}

function expectShape(log: Log, topics: number, words: number): void {
  if (log.topics.length !== topics || log.data.length !== words * WORD || log.topics.some((it) => it.length !== WORD)) {
    throw new RangeError("a log under one of the ledger's topics has another shape");
  }
}

function topicOf(type: string, types: string[]): Buffer {
  return keccak256(Buffer.from(`${type}(${types.join(',')})`, 'ascii'));
}

function topicKey(topic: Buffer): string {
  return topic.toString('latin1');
}
