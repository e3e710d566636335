import { AbiCoder, Interface, keccak256 } from 'ethers';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fromHex, toHex } from '../../platform/src/bytes.js';
import { expectAsEthersReads } from '../test/ledger.js';
import { decodeEvent, eventTopics, foldHead, isSequenced, type Log, leafOf } from './event.codec.js';
import { abi } from './generated/emr-ledger.js';

// ethers, which knows the events from the compiler's ABI, is the oracle.
const iface = new Interface(abi);
const events = iface.fragments.filter((it) => it.type === 'event').map((it) => iface.getEvent(it.format('sighash'))!);

/** A random value of an ABI type, as ethers takes it. */
function randomOf(type: string): fc.Arbitrary<string | bigint | boolean> {
  if (type === 'bool') return fc.boolean();
  // Positions in a batch are uint256 in the ABI, but no batch has 2^32 acts.
  const bits = type === 'uint256' ? 32 : Number(/^uint(\d+)$/.exec(type)?.[1]);
  if (bits) return fc.bigInt({ min: 0n, max: 2n ** BigInt(bits) - 1n });
  const length = type === 'address' ? 20 : 32;
  return fc.uint8Array({ minLength: length, maxLength: length }).map((bytes) => toHex(bytes));
}

function logs(): fc.Arbitrary<Log> {
  return fc.constantFrom(...events).chain((event) =>
    fc.tuple(...event.inputs.map((input) => randomOf(input.type))).map((values) => {
      const { topics, data } = iface.encodeEventLog(event, values);
      return { topics: topics.map((it) => fromHex(it, 32)), data: fromHex(data) };
    }),
  );
}

describe('the event codec', () => {
  it('knows every event of the compiled contract, and no other', () => {
    const compiled = Object.fromEntries(events.map((event) => [event.name, event.topicHash]));
    expect(Object.fromEntries(Object.entries(eventTopics).map(([name, topic]) => [name, toHex(topic)]))).toEqual(
      compiled,
    );
  });

  it('reads random events as ethers reads them', () => {
    fc.assert(
      fc.property(logs(), (log) => {
        expectAsEthersReads(decodeEvent(log)!, log);
      }),
      { numRuns: 1000 },
    );
  });

  it('passes over logs that are none of the ledger’s', () => {
    expect(decodeEvent({ topics: [], data: Buffer.alloc(0) })).toBeUndefined();
    expect(decodeEvent({ topics: [Buffer.alloc(32, 7)], data: Buffer.alloc(64) })).toBeUndefined();
  });

  it('refuses a log of another shape under the ledger’s topic', () => {
    fc.assert(
      fc.property(logs(), (log) => {
        expect(() => decodeEvent({ ...log, data: log.data.subarray(1) })).toThrow(RangeError);
        expect(() => decodeEvent({ ...log, data: Buffer.concat([log.data, Buffer.alloc(32)]) })).toThrow(RangeError);
        expect(() => decodeEvent({ ...log, topics: [...log.topics, Buffer.alloc(32)] })).toThrow(RangeError);
      }),
    );
  });

  it('refuses words with bits beyond their type', () => {
    fc.assert(
      fc.property(logs(), (log) => {
        const event = decodeEvent(log)!;
        if (!isSequenced(event)) return;
        const data = Buffer.from(log.data);
        data[4 * 32] = 1;
        expect(() => decodeEvent({ ...log, data })).toThrow(RangeError);
      }),
    );
  });

  it('makes leaf and head as the interface says', () => {
    fc.assert(
      fc.property(logs(), fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), (log, sequence) => {
        const leaf = leafOf(log);
        expect(toHex(leaf)).toBe(keccak256(Buffer.concat([...log.topics, log.data])));
        const packed = AbiCoder.defaultAbiCoder().encode(['bytes32', 'uint256', 'bytes32'], [leaf, sequence, leaf]);
        expect(toHex(foldHead(leaf, sequence, leaf))).toBe(keccak256(fromHex(packed)));
      }),
    );
  });
});
