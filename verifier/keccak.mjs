// Keccak-256 as Ethereum uses it (padding from before FIPS 202). Source: The Keccak reference, version 3.0. A lane of 64 bits is kept as
// two halves of 32, `low` and `high`.

const RATE = 136; // bytes taken up by each permutation
const ROUND_CONSTANTS = `
  0000000000000001 0000000000008082 800000000000808a 8000000080008000 000000000000808b 0000000080000001
  8000000080008081 8000000000008009 000000000000008a 0000000000000088 0000000080008009 000000008000000a
  000000008000808b 800000000000008b 8000000000008089 8000000000008003 8000000000008002 8000000000000080
  000000000000800a 800000008000000a 8000000080008081 8000000000008080 0000000080000001 8000000080008008`;
const roundConstants = ROUND_CONSTANTS.trim().split(/\s+/);
const IOTA_LOW = Int32Array.from(roundConstants, (hex) => Number.parseInt(hex.slice(8), 16));
const IOTA_HIGH = Int32Array.from(roundConstants, (hex) => Number.parseInt(hex.slice(0, 8), 16));
// Where each lane goes, beginning with lane 1, and how far it is rotated on the way (steps rho and pi).
const numbers = (text) => Uint8Array.from(text.split(' '));
const TARGET = numbers('10 7 11 17 18 3 5 16 8 21 24 4 15 23 19 13 12 2 20 14 22 9 6 1');
const ROTATION = numbers('1 3 6 10 15 21 28 36 45 55 2 14 27 41 56 8 25 43 62 18 39 61 20 44');

/** @param {...Uint8Array} parts hashed one after the other @returns {Buffer} 32 bytes */
export function keccak256(...parts) {
  const input = parts.length === 1 ? parts[0] : Buffer.concat(parts);
  const padded = Buffer.alloc((Math.floor(input.length / RATE) + 1) * RATE);
  padded.set(input);
  padded[input.length] = 0x01;
  padded[padded.length - 1] |= 0x80;
  const low = new Int32Array(25);
  const high = new Int32Array(25);
  for (let block = 0; block < padded.length; block += RATE) {
    for (let lane = 0; lane < RATE / 8; lane++) {
      low[lane] ^= padded.readInt32LE(block + 8 * lane);
      high[lane] ^= padded.readInt32LE(block + 8 * lane + 4);
    }
    permute(low, high);
  }
  const digest = Buffer.alloc(32);
  for (let lane = 0; lane < 4; lane++) {
    digest.writeInt32LE(low[lane], 8 * lane);
    digest.writeInt32LE(high[lane], 8 * lane + 4);
  }
  return digest;
}

const columnLow = new Int32Array(5);
const columnHigh = new Int32Array(5);

function permute(low, high) {
  for (let round = 0; round < 24; round++) {
    // theta
    for (let x = 0; x < 5; x++) {
      columnLow[x] = low[x] ^ low[x + 5] ^ low[x + 10] ^ low[x + 15] ^ low[x + 20];
      columnHigh[x] = high[x] ^ high[x + 5] ^ high[x + 10] ^ high[x + 15] ^ high[x + 20];
    }
    for (let x = 0; x < 5; x++) {
      const before = (x + 4) % 5;
      const after = (x + 1) % 5;
      const mixLow = columnLow[before] ^ ((columnLow[after] << 1) | (columnHigh[after] >>> 31));
      const mixHigh = columnHigh[before] ^ ((columnHigh[after] << 1) | (columnLow[after] >>> 31));
      for (let lane = x; lane < 25; lane += 5) {
        low[lane] ^= mixLow;
        high[lane] ^= mixHigh;
      }
    }
    // rho and pi
    let movedLow = low[1];
    let movedHigh = high[1];
    for (let step = 0; step < 24; step++) {
      const target = TARGET[step];
      const bits = ROTATION[step] % 32;
      const first = ROTATION[step] < 32 ? movedLow : movedHigh;
      const second = ROTATION[step] < 32 ? movedHigh : movedLow;
      movedLow = low[target];
      movedHigh = high[target];
      low[target] = (first << bits) | (second >>> (32 - bits));
      high[target] = (second << bits) | (first >>> (32 - bits));
    }
    // chi
    for (let row = 0; row < 25; row += 5) chi(low, row);
    for (let row = 0; row < 25; row += 5) chi(high, row);
    // iota
    low[0] ^= IOTA_LOW[round];
    high[0] ^= IOTA_HIGH[round];
  }
}

function chi(lanes, row) {
  const a = lanes[row];
  const b = lanes[row + 1];
  const c = lanes[row + 2];
  const d = lanes[row + 3];
  const e = lanes[row + 4];
  lanes[row] = a ^ (~b & c);
  lanes[row + 1] = b ^ (~c & d);
  lanes[row + 2] = c ^ (~d & e);
  lanes[row + 3] = d ^ (~e & a);
  lanes[row + 4] = e ^ (~a & b);
}
