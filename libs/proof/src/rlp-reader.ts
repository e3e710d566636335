import type { Bytes } from './rlp.js';

/**
 * The items of an RLP list, each still encoded and a view of the list's bytes: nothing is copied, and what isn't looked at isn't decoded.
 * Source: Yellow Paper, appendix B. Whether it is the one encoding of its content isn't asked: whoever needs that has a hash over the bytes.
 * @throws RangeError when `list` is no list, or is shorter or longer than it says
 */
export function rlpItems(list: Buffer): Buffer[] {
  const items: Buffer[] = [];
  walk(list, (start, end) => {
    items.push(list.subarray(start, end));
    return true;
  });
  return items;
}

/** What the items of a list of byte strings hold. @throws RangeError as `rlpItems` and `rlpString` */
export function rlpStrings(list: Buffer): Buffer[] {
  const strings: Buffer[] = [];
  walk(list, (start, end) => {
    if ((list[start] as number) >= 0xc0) throw new RangeError('RLP: not a byte string');
    strings.push(list.subarray(contentStart(list, start), end));
    return true;
  });
  return strings;
}

/** The item at `index` of a list, without a view of any other. @throws RangeError as `rlpItems`, or when there are fewer */
export function rlpItem(list: Buffer, index: number): Buffer {
  let left = index;
  let found: Buffer | undefined;
  walk(list, (start, end) => {
    if (left-- > 0) return true;
    found = list.subarray(start, end);
    return false;
  });
  if (found === undefined) throw new RangeError(`RLP: no item ${index}`);
  return found;
}

/** How many items a list has. @throws RangeError as `rlpItems` */
export function rlpCount(list: Buffer): number {
  let count = 0;
  walk(list, () => {
    count++;
    return true;
  });
  return count;
}

/** @param visit told where each item is; false ends the walk */
function walk(list: Buffer, visit: (start: number, end: number) => boolean): void {
  const first = list[0];
  if (first === undefined || first < 0xc0) throw new RangeError('RLP: not a list');
  if (itemEnd(list, 0) !== list.length) throw new RangeError('RLP: a list of another length than it says');
  let at = contentStart(list, 0);
  while (at < list.length) {
    const end = itemEnd(list, at);
    if (end > list.length) throw new RangeError('RLP: an item reaches beyond its list');
    if (!visit(at, end)) return;
    at = end;
  }
}

/** What an encoded byte string holds, as a view. @throws RangeError when `item` is a list, or of another length than it says */
export function rlpString(item: Buffer): Buffer {
  const first = item[0];
  if (first === undefined || first >= 0xc0) throw new RangeError('RLP: not a byte string');
  if (itemEnd(item, 0) !== item.length) throw new RangeError('RLP: a string of another length than it says');
  return first < 0x80 ? item : item.subarray(contentStart(item, 0));
}

/** A byte string as an unsigned integer; the empty one is 0. */
export function rlpInteger(item: Buffer): bigint {
  const bytes = rlpString(item);
  if (bytes.length === 0) return 0n;
  if (bytes.length <= 6) return BigInt(bytes.readUIntBE(0, bytes.length));
  return BigInt(`0x${bytes.toString('hex')}`);
}

function contentStart(bytes: Bytes, at: number): number {
  const first = bytes[at] as number;
  if (first < 0x80) return at;
  if (first < 0xb8) return at + 1;
  if (first < 0xc0) return at + 1 + first - 0xb7;
  return first < 0xf8 ? at + 1 : at + 1 + first - 0xf7;
}

function itemEnd(bytes: Buffer, at: number): number {
  const first = bytes[at] as number;
  if (first < 0x80) return at + 1;
  if (first < 0xb8) return at + 1 + first - 0x80;
  if (first >= 0xc0 && first < 0xf8) return at + 1 + first - 0xc0;
  const width = first - (first < 0xc0 ? 0xb7 : 0xf7);
  if (width > 6 || at + 1 + width > bytes.length) throw new RangeError('RLP: a length that can not be');
  return at + 1 + width + bytes.readUIntBE(at + 1, width);
}
