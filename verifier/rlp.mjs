// Recursive Length Prefix: Ethereum Yellow Paper, appendix B. Only the one canonical encoding of anything is accepted.
import { check } from './fault.mjs';

/** @typedef {Buffer | RlpItem[]} RlpItem a byte string, or a list of items */

/** @param {Buffer} bytes one item and nothing else @param {string} what for messages @returns {RlpItem} */
export function decodeRlp(bytes, what) {
  const { item, end } = read(bytes, 0, what);
  check(end === bytes.length, `${what} has ${bytes.length - end} bytes too many`);
  return item;
}

/** @param {RlpItem} item @returns {bigint} */
export function rlpInteger(item, what) {
  check(Buffer.isBuffer(item) && item[0] !== 0, `${what} is not an integer`);
  return item.length === 0 ? 0n : BigInt(`0x${item.toString('hex')}`);
}

function read(bytes, start, what) {
  check(start < bytes.length, `${what} ends too early`);
  const prefix = bytes[start];
  if (prefix < 0x80) return { item: bytes.subarray(start, start + 1), end: start + 1 };
  const isList = prefix >= 0xc0;
  let length = prefix - (isList ? 0xc0 : 0x80);
  let from = start + 1;
  if (length > 55) {
    const size = length - 55;
    check(size <= 4 && from + size <= bytes.length && bytes[from] !== 0, `${what} has a bad length at byte ${start}`);
    length = bytes.readUIntBE(from, size);
    check(length > 55, `${what} has a length written too long at byte ${start}`);
    from += size;
  }
  const end = from + length;
  check(end <= bytes.length, `${what} ends too early`);
  if (!isList) {
    check(length !== 1 || bytes[from] >= 0x80, `${what} has a byte written too long at byte ${start}`);
    return { item: bytes.subarray(from, end), end };
  }
  const items = [];
  while (from < end) {
    const next = read(bytes.subarray(0, end), from, what);
    items.push(next.item);
    from = next.end;
  }
  return { item: items, end };
}
