// One event: that a block of the chain holds it, and where the ledger put it in its sequence.
import { check } from './fault.mjs';
import { bytes, hex, integer, list, members, parseExactly } from './fields.mjs';
import { describe, fold, isSequenced, leafOf, readEvent, readHead, readHeader, readReceipt } from './ledger.mjs';
import { lookUp } from './trie.mjs';

/**
 * @param {string} text what GET /v1/audit/events/{id}/proof answered
 * @returns what it proves, and what has to be trusted for that
 */
export function verifyProof(text) {
  const names = ['format', 'contract', 'event', 'receipt', 'path', 'previous', 'reached', 'headers', 'checkpoint'];
  const proof = members(parseExactly(text, 'the proof'), names, 'the proof');
  check(proof.format === 'emr-proof/1', `the format is ${proof.format}, and this program knows emr-proof/1`);
  const contract = bytes(proof.contract, 'contract', 20);

  const headers = verifyHeaders(proof.headers);
  const checkpoint = readPoint(proof.checkpoint, 'checkpoint', ['number', 'hash']);
  check(headers.at(-1).number === checkpoint.number, 'checkpoint.number is not that of the last header');
  check(headers.at(-1).hash.equals(checkpoint.hash), 'checkpoint.hash is not that of the last header');

  const receipt = members(proof.receipt, ['index', 'rlp'], 'receipt');
  const encoded = bytes(receipt.rlp, 'receipt.rlp');
  const path = list(proof.path, 'path').map((node, index) => bytes(node, `path[${index}]`));
  const key = rlpOfIndex(integer(receipt.index, 'receipt.index'));
  const found = lookUp(headers[0].receiptsRoot, key, path, 'path');
  check(found?.equals(encoded), 'receipt.rlp is not the receipt that the path leads to');

  const logs = readReceipt(encoded, 'receipt.rlp').filter((log) => log.address.equals(contract));
  const event = findEvent(proof.event, logs);
  const reached = foldReceipt(logs, proof.previous, proof.reached);
  const block = headers[0];
  return {
    contract,
    event,
    reached,
    lines: [
      `event ${event.sequence}: ${describe(event)}`,
      `in block ${block.number} of ${block.time}, ${hex(block.hash)}`,
      `the ledger went from head ${proof.previous.head} at ${proof.previous.sequence} to ${hex(reached.head)} at ${reached.sequence}`,
      `followed by ${headers.length - 1} headers, up to block ${checkpoint.number}`,
    ],
    anchors: [
      { what: 'the ledger contract', anyOf: [contract] },
      { what: `block ${checkpoint.number}`, anyOf: headers.map(({ hash }) => hash).reverse() },
    ],
  };
}

/** Each the parent of the next. */
function verifyHeaders(given) {
  const headers = list(given, 'headers').map((header, index) =>
    readHeader(bytes(header, `headers[${index}]`), `headers[${index}]`),
  );
  check(headers.length > 0, 'headers are missing');
  for (let index = 1; index < headers.length; index++) {
    const [parent, child] = [headers[index - 1], headers[index]];
    check(child.parentHash.equals(parent.hash), `headers[${index}] is not the child of the header before it`);
    check(child.number === parent.number + 1n, `headers[${index}] has a number that does not follow`);
  }
  return headers;
}

function findEvent(given, logs) {
  const event = members(given, ['sequence', 'topics', 'data'], 'event');
  const sequence = integer(event.sequence, 'event.sequence');
  const topics = list(event.topics, 'event.topics').map((topic, index) => bytes(topic, `event.topics[${index}]`, 32));
  const data = bytes(event.data, 'event.data');
  const stated = logs.find(
    (log) =>
      log.topics.length === topics.length &&
      log.topics.every((topic, i) => topic.equals(topics[i])) &&
      log.data.equals(data),
  );
  check(stated && isSequenced(stated), 'event is not among the events of the ledger in the receipt');
  const read = readEvent(topics, data, 'event');
  check(read.sequence === sequence, `event.sequence is ${sequence}, and the event says ${read.sequence}`);
  return read;
}

/** Carries the ledger's head over the events of a transaction, to what its `Head` event says. */
function foldReceipt(logs, givenPrevious, givenReached) {
  let { sequence, head } = readPoint(givenPrevious, 'previous', ['sequence', 'head']);
  for (const log of logs.filter(isSequenced)) {
    sequence += 1n;
    const { sequence: own } = readEvent(log.topics, log.data, `event ${sequence} of the receipt`);
    check(own === sequence, `the receipt has event ${own} where ${sequence} is due`);
    head = fold(head, sequence, leafOf(log.topics, log.data));
  }
  const stated = logs.map(readHead).findLast((read) => read !== undefined);
  check(stated, 'the receipt has no Head event');
  check(stated.sequence === sequence, `the Head event is at ${stated.sequence}, and the events lead to ${sequence}`);
  check(
    stated.head.equals(head),
    'the events lead to another head than the Head event says, or previous.head is wrong',
  );
  const reached = readPoint(givenReached, 'reached', ['sequence', 'head']);
  check(reached.sequence === sequence, `reached.sequence is not ${sequence}`);
  check(reached.head.equals(head), 'reached.head is not what the events lead to');
  return reached;
}

function readPoint(given, what, [number, hash]) {
  members(given, [number, hash], what);
  return { [number]: integer(given[number], `${what}.${number}`), [hash]: bytes(given[hash], `${what}.${hash}`, 32) };
}

/** The key of a receipt in the trie: RLP of its index. */
function rlpOfIndex(index) {
  if (index === 0n) return Buffer.of(0x80);
  const digits = index.toString(16);
  const big = Buffer.from(digits.length % 2 ? `0${digits}` : digits, 'hex');
  return index < 0x80n ? big : Buffer.concat([Buffer.of(0x80 + big.length), big]);
}
