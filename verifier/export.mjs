// An export of events: that it is what the hospital signed, that each row says what its log says, and, where the rows are to be all there
// are, that they chain from head to head.
import { check } from './fault.mjs';
import { bytes, hex, integer, list, members, parseExactly } from './fields.mjs';
import { fold, leafOf, readEvent, ZERO_HEAD } from './ledger.mjs';
import { readLines } from './lines.mjs';
import { readManifest } from './manifest.mjs';

const COLUMNS =
  `network sequence blockNumber blockHash time transactionHash logIndex type operation outcome purpose recordId recordSequence
  actor hospital requestId topics data leaf`.split(/\s+/);
const MANIFEST = 'id hospital createdAt media kind filter rows bytes sha256 networks'.split(' ');
const NETWORK = 'name contract rows first last previousHead head through'.split(' ');

/**
 * @param {string} file
 * @param {string} manifestText
 * @param {ReturnType<import('./proof.mjs').verifyProof>[]} proofs of events in it
 */
export async function verifyExport(file, manifestText, proofs) {
  const { manifest, key } = readManifest(manifestText, 'emr-export/1', MANIFEST);
  const chains = list(manifest.networks, 'networks').map((network) => new Chain(network, manifest.kind));
  const chainOf = new Map(chains.map((chain) => [chain.name, chain]));
  const header = manifest.media === 'csv' ? COLUMNS.join(',') : undefined;
  let rows = 0n;
  const content = await readLines(file, (line, number) => {
    const text = line.toString('latin1');
    if (number === 1 && header !== undefined) {
      return check(text === `${header}\r`, 'line 1 does not name the columns of this format');
    }
    const what = `line ${number}`;
    const row = manifest.media === 'csv' ? readCsv(text, what) : readJson(text, what);
    const chain = chainOf.get(row.network);
    check(chain, `${what} is of the network ${row.network}, which the manifest does not have`);
    chain.add(readLog(row, what), what, proofs);
    rows++;
  });
  for (const chain of chains) chain.end(manifest);
  check(String(rows) === manifest.rows, `the file has ${rows} rows, the manifest says ${manifest.rows}`);
  check(
    String(content.bytes) === manifest.bytes,
    `the file has ${content.bytes} bytes, the manifest says ${manifest.bytes}`,
  );
  check(
    hex(content.sha256) === manifest.sha256,
    'the file has another SHA-256 than the manifest says: in a row that is consistent in itself, its block, time, transaction or position was changed',
  );
  const unseen = proofs.filter(({ seen }) => !seen);
  check(
    unseen.length === 0,
    `the head that --proof proves, at ${unseen[0]?.reached.sequence}, is not among these rows`,
  );
  return {
    lines: [
      `${manifest.rows} rows, ${manifest.kind}, signed by hospital ${manifest.hospital}`,
      ...chains.flatMap(({ lines }) => lines),
    ],
    anchors: [{ what: "the hospital's identity key", anyOf: [key] }, ...proofs.flatMap(({ anchors }) => anchors)],
  };
}

function readJson(text, what) {
  const row = members(parseExactly(text, what), COLUMNS, what);
  for (const [name, value] of Object.entries(row)) {
    check(value === null || typeof value === 'string', `${what}: ${name} is no string`);
  }
  return row;
}

function readCsv(text, what) {
  check(text.endsWith('\r') && !text.slice(0, -1).includes('\r'), `${what} does not end with CR LF`);
  const cells = text.slice(0, -1).split(',');
  check(cells.length === COLUMNS.length, `${what} has ${cells.length} columns where ${COLUMNS.length} are due`);
  return Object.fromEntries(COLUMNS.map((name, index) => [name, cells[index] === '' ? null : cells[index]]));
}

/** The event of a row as its log has it, once every column that says the same does so. */
function readLog(row, what) {
  const joined = bytes(row.topics, `${what}: topics`, 128);
  const topics = [0, 32, 64, 96].map((at) => joined.subarray(at, at + 32));
  const data = bytes(row.data, `${what}: data`);
  const event = readEvent(topics, data, what);
  const concerns = event.recordId.some((byte) => byte !== 0);
  const leaf = leafOf(topics, data);
  const said = {
    sequence: String(event.sequence),
    type: event.type,
    operation: event.operation,
    outcome: event.outcome,
    purpose: event.purpose,
    recordId: concerns ? hex(event.recordId) : null,
    recordSequence: concerns ? String(event.recordSequence) : null,
    actor: hex(event.actor),
    hospital: String(event.hospital),
    requestId: hex(event.requestId),
    leaf: hex(leaf),
  };
  for (const [name, value] of Object.entries(said)) {
    check(row[name] === value, `${what}: ${name} is ${row[name]}, and its log says ${value}`);
  }
  return { event, leaf };
}

/** The rows of one network, one after the other. */
class Chain {
  rows = 0n;
  lines = [];

  constructor(given, kind) {
    const network = members(given, NETWORK, 'a network of the manifest');
    check(['whole', 'record', 'selection'].includes(kind), `the kind of the manifest is ${kind}`);
    this.name = network.name;
    this.kind = kind;
    this.stated = network;
    this.first = network.first === null ? null : integer(network.first, `first of ${this.name}`);
    this.head = kind === 'selection' ? null : bytes(network.previousHead, `previousHead of ${this.name}`, 32);
    if (this.first === 1n && kind !== 'selection')
      check(this.head.equals(ZERO_HEAD), `previousHead of ${this.name} is not zero`);
  }

  add({ event, leaf }, what, proofs) {
    this.rows++;
    this.#inOrder(event.sequence, what);
    if (this.kind === 'record' && event.recordSequence === 0n) return;
    const sequence = this.kind === 'record' ? event.recordSequence : event.sequence;
    const due = this.last === undefined ? this.first : this.last + 1n;
    if (this.kind !== 'selection')
      check(sequence === due, `${what} is event ${sequence} where ${due} is due: a row is missing, added or moved`);
    else
      check(
        this.last !== undefined || sequence === due,
        `${what} is event ${sequence}, the manifest begins with ${due}`,
      );
    if (this.kind === 'record') {
      check(
        event.recordHead.equals(this.head),
        `${what}: the record's head before it is not what the rows above lead to`,
      );
    }
    this.last = sequence;
    if (this.head) this.head = fold(this.head, sequence, leaf);
    for (const proof of proofs.filter(({ reached }) => this.kind === 'whole' && reached.sequence === sequence)) {
      if (hex(proof.contract) !== this.stated.contract) continue;
      check(proof.reached.head.equals(this.head), `${what}: the rows lead to another head than --proof proves`);
      proof.seen = true;
    }
  }

  #inOrder(sequence, what) {
    check(
      this.ledgerSequence === undefined || sequence > this.ledgerSequence,
      `${what} is event ${sequence}, after a later one`,
    );
    this.ledgerSequence = sequence;
  }

  end({ filter }) {
    const { name, kind, stated } = this;
    check(String(this.rows) === stated.rows, `${name} has ${this.rows} rows, the manifest says ${stated.rows}`);
    const last = this.last === undefined ? null : String(this.last);
    check(last === stated.last, `${name} ends with ${last}, the manifest says ${stated.last}`);
    const head = this.head && hex(this.head);
    check(head === stated.head, `the rows of ${name} lead to head ${head}, the manifest says ${stated.head}`);
    if (kind === 'whole' && !('to' in filter) && this.rows > 0n) {
      check(
        last === stated.through.sequence,
        `${name} was final through ${stated.through.sequence} and ends with ${last}`,
      );
      check(head === stated.through.head, `the head of ${name} is not that of the block it was final through`);
    }
    this.lines.push(
      `${name}: ${this.rows} rows, ${stated.first ?? '-'} to ${last ?? '-'}, ${MEANING[kind]}${head ? `, head ${head}` : ''}`,
    );
  }
}

const MEANING = {
  whole: 'every event in between',
  record: 'every event of one record in between',
  selection: 'a selection: that nothing is left out rests on the signature alone',
};
