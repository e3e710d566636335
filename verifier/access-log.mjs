// An export of the access log: entries of who looked at what, chained like the ledger's events but with SHA-256. The layout of an entry's
// bytes is docs/access-log.md of the product.
import { createHash } from 'node:crypto';
import { check } from './fault.mjs';
import { bytes, hex, instant, integer, members, parseExactly } from './fields.mjs';
import { word, ZERO_HEAD } from './ledger.mjs';
import { readLines } from './lines.mjs';
import { readManifest } from './manifest.mjs';

const MANIFEST = 'id hospital createdAt rows bytes sha256 first last previousHead head'.split(' ');
const FIELDS = 'id at principal actor kind recordId requestId detail'.split(' ');
const LAYOUT = 1;

const sha256 = (...parts) => parts.reduce((hash, part) => hash.update(part), createHash('sha256')).digest();

export async function verifyAccessLog(file, manifestText) {
  const { manifest, key } = readManifest(manifestText, 'emr-access-log/1', MANIFEST);
  const first = integer(manifest.first, 'first');
  let head = bytes(manifest.previousHead, 'previousHead', 32);
  if (first === 1n) check(head.equals(ZERO_HEAD), 'previousHead is not zero, and nothing comes before the first entry');
  let sequence = first - 1n;
  const content = await readLines(file, (line, number) => {
    const what = `line ${number}`;
    const row = members(
      parseExactly(line.toString('utf8'), what),
      ['sequence', ...FIELDS, 'preimage', 'leaf', 'head'],
      what,
    );
    const own = integer(row.sequence, `${what}: sequence`);
    check(
      own === sequence + 1n,
      `${what} is entry ${own} where ${sequence + 1n} is due: a row is missing, added or moved`,
    );
    const preimage = bytes(row.preimage, `${what}: preimage`);
    const entry = readEntry(preimage, what);
    for (const name of FIELDS) {
      check(
        row[name] === entry[name],
        `${what}: ${name} is ${row[name]}, and the bytes that are chained say ${entry[name]}`,
      );
    }
    const leaf = sha256(preimage);
    check(row.leaf === hex(leaf), `${what}: leaf is not the SHA-256 of preimage`);
    head = sha256(head, word(own), leaf);
    check(row.head === hex(head), `${what}: head does not follow from the row before`);
    sequence = own;
  });
  check(String(sequence) === manifest.last, `the file ends with entry ${sequence}, the manifest says ${manifest.last}`);
  check(hex(head) === manifest.head, `the rows lead to head ${hex(head)}, the manifest says ${manifest.head}`);
  check(
    String(sequence - first + 1n) === manifest.rows,
    `the file has ${sequence - first + 1n} rows, the manifest says ${manifest.rows}`,
  );
  check(
    String(content.bytes) === manifest.bytes,
    `the file has ${content.bytes} bytes, the manifest says ${manifest.bytes}`,
  );
  check(hex(content.sha256) === manifest.sha256, 'the file has another SHA-256 than the manifest says');
  return {
    lines: [
      `entries ${first} to ${sequence} of hospital ${manifest.hospital}'s access log, every one in between, head ${hex(head)}`,
    ],
    anchors: [{ what: "the hospital's identity key", anyOf: [key] }],
  };
}

/** Layout 1: id and time, then six fields, each after its length; length −1 stands for none. */
function readEntry(preimage, what) {
  check(preimage.length > 17 && preimage[0] === LAYOUT, `${what}: preimage is no entry of layout ${LAYOUT}`);
  let at = 17;
  const field = () => {
    check(at + 4 <= preimage.length, `${what}: preimage ends too early`);
    const length = preimage.readInt32BE(at);
    at += 4;
    if (length === -1) return null;
    check(length >= 0 && at + length <= preimage.length, `${what}: preimage ends too early`);
    at += length;
    return preimage.subarray(at - length, at);
  };
  const shown = (value, how) => (value === null ? null : how(value));
  const text = (value) => value.toString('utf8');
  const entry = {
    id: String(preimage.readBigInt64BE(1)),
    at: timeOf(preimage.readBigInt64BE(9), what),
    principal: shown(field(), hex),
    actor: shown(field(), hex),
    kind: shown(field(), text),
    recordId: shown(field(), hex),
    requestId: shown(field(), hex),
    detail: shown(field(), text),
  };
  check(at === preimage.length, `${what}: preimage has bytes behind its last field`);
  return entry;
}

/** RFC 3339 of microseconds since 1970. */
function timeOf(micros, what) {
  const seconds = instant(micros / 1000n, `${what}: the time in preimage`).slice(0, 19);
  return `${seconds}.${String(micros % 1_000_000n).padStart(6, '0')}Z`;
}
