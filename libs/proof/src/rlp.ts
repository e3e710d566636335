export type Bytes = Uint8Array;
/** What RLP encodes: byte strings and lists of them. */
export type RlpItem = Bytes | readonly RlpItem[];

const EMPTY = Buffer.alloc(0);

/** An integer as RLP holds it: big-endian, no leading zero byte, zero as the empty string. */
export function integer(value: bigint | number): Buffer {
  if (value === 0n || value === 0) return EMPTY;
  const hex = value.toString(16);
  return Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex');
}

/**
 * RLP (Ethereum Yellow Paper, appendix B) into one buffer of the right size: tries are rebuilt for every block, so this is where the
 * time of verification goes. @ethereumjs/rlp, which joins small arrays, is its test oracle.
 */
export function encodeRlp(item: RlpItem): Buffer {
  const payloads: number[] = [];
  const target = Buffer.allocUnsafe(measure(item, payloads));
  write(target, 0, item, payloads, { next: 0 });
  return target;
}

/** RLP of a list whose items are RLP already. */
export function joinRlp(items: readonly Bytes[]): Buffer {
  let payload = 0;
  for (const item of items) payload += item.length;
  const target = Buffer.allocUnsafe(payload + prefixLength(payload));
  let at = writePrefix(target, 0, payload, 0xc0);
  for (const item of items) {
    target.set(item, at);
    at += item.length;
  }
  return target;
}

/** Encoded length; appends the payload length of each list, in the order `write` comes by them. */
function measure(item: RlpItem, payloads: number[]): number {
  if (isBytes(item)) {
    if (item.length === 1 && (item[0] as number) < 0x80) return 1;
    return item.length + prefixLength(item.length);
  }
  const own = payloads.push(0) - 1;
  let payload = 0;
  for (const child of item) payload += measure(child, payloads);
  payloads[own] = payload;
  return payload + prefixLength(payload);
}

function write(
  target: Buffer,
  at: number,
  item: RlpItem,
  payloads: readonly number[],
  cursor: { next: number },
): number {
  if (isBytes(item)) {
    if (item.length === 1 && (item[0] as number) < 0x80) {
      target[at] = item[0] as number;
      return at + 1;
    }
    const start = writePrefix(target, at, item.length, 0x80);
    target.set(item, start);
    return start + item.length;
  }
  let next = writePrefix(target, at, payloads[cursor.next++] as number, 0xc0);
  for (const child of item) next = write(target, next, child, payloads, cursor);
  return next;
}

function isBytes(item: RlpItem): item is Bytes {
  return item instanceof Uint8Array;
}

function prefixLength(length: number): number {
  if (length < 56) return 1;
  if (length < 0x100) return 2;
  if (length < 0x1_0000) return 3;
  return length < 0x100_0000 ? 4 : 5;
}

/** @param base 0x80 for a string, 0xc0 for a list */
function writePrefix(target: Buffer, at: number, length: number, base: number): number {
  if (length < 56) {
    target[at] = base + length;
    return at + 1;
  }
  const bytes = prefixLength(length) - 1;
  target[at] = base + 55 + bytes;
  return target.writeUIntBE(length, at + 1, bytes);
}
