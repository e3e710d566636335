import { createHash } from 'node:crypto';
import type { Bytes } from './rlp.js';

/*
 * The access log's chain, as docs/access-log.md lays it out. Pure: Postgres computes the same in `gateway.link_access_log`, and tests hold the
 * two together.
 */

/** One entry of the access log: who looked, when, at what. Ids and codes alone; no names, no identifiers of patients. */
export interface AccessLogEntry {
  /** Number of the row; not its place in the chain. */
  id: bigint;
  /** Microseconds since 1970-01-01T00:00:00Z. */
  at: bigint;
  /** HMAC of issuer, client and subject, 32 bytes; or, where another hospital looked, its number in 32 bytes. */
  principal: Buffer;
  /** Address on the ledger, 20 bytes. */
  actor: Buffer | null;
  kind: string;
  recordId: Buffer | null;
  requestId: Buffer | null;
  /** JSON as Postgres prints a jsonb. */
  detail: string;
}

/** What one link of the chain is made of. */
export interface AccessLogLink {
  sequence: bigint;
  preimage: Buffer;
  leaf: Buffer;
  head: Buffer;
}

const LAYOUT = 1;
const FRAME_BYTES = 17;

/** The head before the first link. */
export const ACCESS_LOG_START = Buffer.alloc(32);

/** The bytes that an entry's leaf is the SHA-256 of. */
export function encodeAccessLogEntry(entry: AccessLogEntry): Buffer {
  const frame = Buffer.alloc(FRAME_BYTES);
  frame.writeUInt8(LAYOUT, 0);
  frame.writeBigInt64BE(entry.id, 1);
  frame.writeBigInt64BE(entry.at, 9);
  const { principal, actor, kind, recordId, requestId, detail } = entry;
  const fields = [principal, actor, Buffer.from(kind), recordId, requestId, Buffer.from(detail)];
  return Buffer.concat([frame, ...fields.flatMap(fieldOf)]);
}

/** @throws RangeError when the bytes are no entry of this layout, exactly */
export function decodeAccessLogEntry(preimage: Buffer): AccessLogEntry {
  if (preimage.length < FRAME_BYTES || preimage[0] !== LAYOUT) throw new RangeError('not an entry of layout 1');
  let offset = FRAME_BYTES;
  const next = (): Buffer | null => {
    const length = preimage.readInt32BE(offset);
    offset += 4;
    if (length === -1) return null;
    if (length < 0 || offset + length > preimage.length) throw new RangeError('a field ends beyond its entry');
    offset += length;
    return preimage.subarray(offset - length, offset);
  };
  const [principal, actor, kind, recordId, requestId, detail] = [next(), next(), next(), next(), next(), next()];
  if (!principal || !kind || !detail) throw new RangeError('an entry lacks a field it always has');
  if (offset !== preimage.length) throw new RangeError('bytes behind the last field');
  return {
    id: preimage.readBigInt64BE(1),
    at: preimage.readBigInt64BE(9),
    principal,
    actor,
    kind: kind.toString(),
    recordId,
    requestId,
    detail: detail.toString(),
  };
}

/** SHA-256 of an entry's bytes. */
export function accessLogLeaf(preimage: Bytes): Buffer {
  return sha256(preimage);
}

/** SHA-256(previous head, sequence, leaf), each as one 32-byte word: the ledger's fold with another hash, one that Postgres and the EVM have too. */
export function foldAccessLog(previous: Bytes, sequence: bigint, leaf: Bytes): Buffer {
  const word = Buffer.alloc(32);
  word.writeBigUInt64BE(sequence, 24);
  return sha256(previous, word, leaf);
}

/**
 * What is wrong with a stretch of the chain, in words; undefined when nothing is.
 * @param links in the order of their sequence
 * @param from the link before the stretch; default: the beginning of the chain
 */
export function faultInAccessLog(
  links: Iterable<AccessLogLink>,
  from: { sequence: bigint; head: Buffer } = { sequence: 0n, head: ACCESS_LOG_START },
): string | undefined {
  let { sequence, head } = from;
  for (const link of links) {
    if (link.sequence !== sequence + 1n) return `sequence ${link.sequence} follows ${sequence}`;
    if (!accessLogLeaf(link.preimage).equals(link.leaf)) return `entry ${link.sequence} is not what was linked`;
    if (!foldAccessLog(head, link.sequence, link.leaf).equals(link.head))
      return `head ${link.sequence} does not follow`;
    ({ sequence, head } = link);
  }
  return undefined;
}

function fieldOf(value: Buffer | null): Buffer[] {
  const length = Buffer.alloc(4);
  length.writeInt32BE(value === null ? -1 : value.length);
  return value === null ? [length] : [length, value];
}

function sha256(...parts: Bytes[]): Buffer {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest();
}
