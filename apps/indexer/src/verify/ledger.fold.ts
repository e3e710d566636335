import {
  decodeEvent,
  isSequenced,
  type LedgerEvent,
  type SequencedEvent,
  type UnsequencedEvent,
} from '../../../../libs/contracts/src/event.codec.js';
import { foldHead, leafOf } from '../../../../libs/proof/src/head.js';
import type { LedgerLog, LedgerTransaction, VerifiedBlock } from './block.verifier.js';
import { MismatchError } from './mismatch.error.js';

/** Where the ledger stands: the last event's sequence, and the head over all events so far. */
export interface LedgerState {
  sequence: bigint;
  head: Buffer;
}

/** A sequenced event in its place on the chain. */
export interface PlacedEvent {
  event: SequencedEvent;
  leaf: Buffer;
  /** The four topics, joined. */
  topics: Buffer;
  data: Buffer;
  logIndex: number;
  block: BlockStamp;
  transactionHash: Buffer;
  transactionIndex: number;
}

export interface BlockStamp {
  number: bigint;
  hash: Buffer;
  /** Unix seconds. */
  time: bigint;
}

export interface PlacedNotice {
  notice: Exclude<UnsequencedEvent, { type: 'Head' }>;
  logIndex: number;
  block: BlockStamp;
  transactionHash: Buffer;
}

export interface FoldedBlock {
  block: VerifiedBlock;
  /** The ledger after this block. */
  state: LedgerState;
  events: PlacedEvent[];
  notices: PlacedNotice[];
}

/**
 * Decodes the ledger's logs of a block and carries the ledger's head over them: `sequence` must be dense, and every `Head` event must
 * say what our own fold says; a transaction with sequenced events must end with one.
 * @throws MismatchError
 */
export function foldBlock(before: LedgerState, block: VerifiedBlock): FoldedBlock {
  const folded: FoldedBlock = { block, state: before, events: [], notices: [] };
  const stamp: BlockStamp = { number: block.number, hash: block.hash, time: block.time };
  for (const transaction of block.transactions) foldTransaction(folded, transaction, stamp);
  return folded;
}

function foldTransaction(folded: FoldedBlock, transaction: LedgerTransaction, stamp: BlockStamp): void {
  const fail = (log: LedgerLog, detail: string) =>
    new MismatchError(stamp.number, stamp.hash, `log ${log.logIndex} ${detail}`);
  let confirmed = true;
  const logs = transaction.logs();
  for (const log of logs) {
    const event = decode(log, fail);
    if (isSequenced(event)) {
      const expected = folded.state.sequence + 1n;
      if (event.sequence !== expected) throw fail(log, `has sequence ${event.sequence} where ${expected} is due.`);
      const topics = Buffer.concat(log.topics);
      const leaf = leafOf({ topics: [topics], data: log.data });
      folded.state = { sequence: expected, head: foldHead(folded.state.head, expected, leaf) };
      folded.events.push({
        event,
        leaf,
        topics,
        data: log.data,
        logIndex: log.logIndex,
        block: stamp,
        transactionHash: transaction.hash,
        transactionIndex: transaction.index,
      });
      confirmed = false;
    } else if (event.type === 'Head') {
      const { sequence, head } = folded.state;
      if (event.sequence !== sequence || !event.head.equals(head)) {
        throw fail(
          log,
          `says head 0x${event.head.toString('hex')} at ${event.sequence}; the events give another one at ${sequence}.`,
        );
      }
      confirmed = true;
    } else {
      folded.notices.push({ notice: event, logIndex: log.logIndex, block: stamp, transactionHash: transaction.hash });
    }
  }
  const last = logs.at(-1);
  if (!confirmed && last) throw fail(last, 'ends its transaction without a Head event.');
}

function decode(log: LedgerLog, fail: (log: LedgerLog, detail: string) => MismatchError): LedgerEvent {
  let event: LedgerEvent | undefined;
  try {
    event = decodeEvent({ topics: [...log.topics], data: log.data });
  } catch (error) {
    throw fail(log, `can't be read: ${(error as Error).message}.`);
  }
  if (event === undefined) throw fail(log, 'is of the ledger but of no event this program knows.');
  return event;
}
