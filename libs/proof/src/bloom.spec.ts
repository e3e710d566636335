import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { keccak256 } from '../../platform/src/keccak.js';
import { bloomOf } from './bloom.js';

/** As the Yellow Paper has it, as one number of 2,048 bits. */
function expected(values: readonly Uint8Array[]): Buffer {
  let bits = 0n;
  for (const value of values) {
    const hash = keccak256(value);
    for (const pair of [0, 2, 4]) bits |= 1n << BigInt(((hash[pair]! << 8) | hash[pair + 1]!) % 2_048);
  }
  return Buffer.from(bits.toString(16).padStart(512, '0'), 'hex');
}

const address = fc.uint8Array({ minLength: 20, maxLength: 20 });
// 32 bytes where nobody lies.
const topic = fc.uint8Array({ maxLength: 40 });
const logs = fc.array(fc.record({ address, topics: fc.array(topic, { maxLength: 4 }) }), { maxLength: 5 });

describe('the bloom of logs', () => {
  it('is empty without logs', () => {
    expect(bloomOf([])).toEqual(Buffer.alloc(256));
  });

  it('has three bits for each address and topic, whether they came before or not', () => {
    fc.assert(
      fc.property(logs, (some) => {
        const values = some.flatMap((log) => [log.address, ...log.topics]);
        expect(bloomOf(some)).toEqual(expected(values));
        expect(bloomOf(some)).toEqual(expected(values));
      }),
    );
  });

  it('is right for more values than it remembers', () => {
    const many = Array.from({ length: 10_050 }, (_, index) => Buffer.from(index.toString().padStart(20)));
    for (const value of many) bloomOf([{ address: value, topics: [] }]);
    for (const value of many.slice(-100)) {
      expect(bloomOf([{ address: value, topics: [] }])).toEqual(expected([value]));
    }
  });
});
