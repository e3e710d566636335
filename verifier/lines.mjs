// Reads a file of any size line by line, and hashes every byte of it.
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { check } from './fault.mjs';

const LONGEST_LINE = 1_000_000;

/**
 * @param {string} file
 * @param {(line: Buffer, number: number) => void} onLine without its line feed; numbered from 1
 * @returns {Promise<{ bytes: bigint, sha256: Buffer }>}
 */
export async function readLines(file, onLine) {
  const hash = createHash('sha256');
  let bytes = 0n;
  let number = 0;
  let rest = Buffer.alloc(0);
  for await (const chunk of createReadStream(file)) {
    hash.update(chunk);
    bytes += BigInt(chunk.length);
    const text = rest.length > 0 ? Buffer.concat([rest, chunk]) : chunk;
    let start = 0;
    for (let end = text.indexOf(10); end !== -1; end = text.indexOf(10, start)) {
      onLine(text.subarray(start, end), ++number);
      start = end + 1;
    }
    rest = text.subarray(start);
    check(rest.length < LONGEST_LINE, `line ${number + 1} has no end`);
  }
  check(rest.length === 0, `line ${number + 1}, the last one, does not end with a line feed: the file was cut off`);
  return { bytes, sha256: hash.digest() };
}
