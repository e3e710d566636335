// A record's history: every event of it, chained to the head that the ledger itself keeps for the record.
import { check } from './fault.mjs';
import { bytes, hex, integer, list, members, parseExactly } from './fields.mjs';
import { keccak256 } from './keccak.mjs';
import { describe, fold, leafOf, readEvent, readHeader, word, ZERO_HEAD } from './ledger.mjs';
import { decodeRlp } from './rlp.mjs';
import { lookUp } from './trie.mjs';

const RECORDS_SLOT = 2n; // of `_records` in the ledger contract's storage

/**
 * @param {string} text what GET /v1/emrs/{id}/history-proof answered
 * @returns what it proves, and what has to be trusted for that
 */
export function verifyHistory(text) {
  const names = ['format', 'contract', 'recordId', 'events', 'header', 'account', 'sequence', 'head', 'checkpoint'];
  const proof = members(parseExactly(text, 'the proof'), names, 'the proof');
  check(proof.format === 'emr-history/1', `the format is ${proof.format}, and this program knows emr-history/1`);
  const contract = bytes(proof.contract, 'contract', 20);
  const recordId = bytes(proof.recordId, 'recordId', 32);

  const block = readHeader(bytes(proof.header, 'header'), 'header');
  const checkpoint = members(proof.checkpoint, ['number', 'hash'], 'checkpoint');
  check(
    integer(checkpoint.number, 'checkpoint.number') === block.number,
    'checkpoint.number is not that of the header',
  );
  check(bytes(checkpoint.hash, 'checkpoint.hash', 32).equals(block.hash), 'checkpoint.hash is not that of the header');

  // What the contract's storage holds at that block. Keys of both tries are hashed.
  const nodes = (name) => list(proof[name], name).map((node, index) => bytes(node, `${name}[${index}]`));
  const account = lookUp(block.stateRoot, keccak256(contract), nodes('account'), 'account');
  check(account, 'the block knows no such contract');
  const storageRoot = decodeRlp(account, 'the account')[2];
  const slot = BigInt(hex(keccak256(recordId, word(RECORDS_SLOT))));
  const stored = (name, at) => {
    const value = lookUp(storageRoot, keccak256(word(at)), nodes(name), name);
    return value ? Buffer.concat([ZERO_HEAD, decodeRlp(value, name)]).subarray(-32) : ZERO_HEAD;
  };
  const sequence = stored('sequence', slot).readBigUInt64BE(24);
  const head = stored('head', slot + 1n);

  const events = list(proof.events, 'events').map((event, index) =>
    readHistoryEvent(event, recordId, `events[${index}]`),
  );
  let reached = ZERO_HEAD;
  events.forEach(({ event, leaf }, index) => {
    const what = `events[${index}]`;
    check(
      event.recordSequence === BigInt(index + 1),
      `${what} is event ${event.recordSequence} of the record where ${index + 1} is due`,
    );
    check(
      event.recordHead.equals(reached),
      `${what}: the record's head before it is not what the events above lead to`,
    );
    reached = fold(reached, event.recordSequence, leaf);
  });
  check(BigInt(events.length) === sequence, `there are ${events.length} events, and the ledger counted ${sequence}`);
  check(reached.equals(head), 'the events lead to another head than the ledger has for the record');
  return {
    lines: [
      `record ${hex(recordId)}: ${events.length} events, and no others, as of block ${block.number} of ${block.time}`,
      ...events.map(({ event }) => `  ${event.recordSequence}. ${describe(event)}`),
    ],
    anchors: [
      { what: 'the ledger contract', anyOf: [contract] },
      { what: `block ${block.number}`, anyOf: [block.hash] },
    ],
  };
}

function readHistoryEvent(given, recordId, what) {
  const { topics, data } = members(given, ['topics', 'data'], what);
  const log = {
    topics: list(topics, `${what}.topics`).map((topic) => bytes(topic, `${what}.topics`, 32)),
    data: bytes(data, `${what}.data`),
  };
  check(log.topics.length === 4, `${what} has ${log.topics.length} topics where 4 are due`);
  const event = readEvent(log.topics, log.data, what);
  check(event.recordId.equals(recordId), `${what} is of another record`);
  return { event, leaf: leafOf(log.topics, log.data) };
}
