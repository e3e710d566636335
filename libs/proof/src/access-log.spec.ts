import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  ACCESS_LOG_START,
  type AccessLogEntry,
  type AccessLogLink,
  accessLogLeaf,
  decodeAccessLogEntry,
  encodeAccessLogEntry,
  faultInAccessLog,
  foldAccessLog,
} from './access-log.js';

const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length }).map((it) => Buffer.from(it));
const entry: fc.Arbitrary<AccessLogEntry> = fc.record({
  id: fc.bigInt({ min: 1n, max: 2n ** 63n - 1n }),
  at: fc.bigInt({ min: -(2n ** 62n), max: 2n ** 62n }),
  principal: bytes(32),
  actor: fc.option(bytes(20)),
  kind: fc.constantFrom('release', 'audit', 'record-search'),
  recordId: fc.option(bytes(32)),
  requestId: fc.option(bytes(32)),
  detail: fc.json(),
});

function chainOf(preimages: readonly Buffer[]): AccessLogLink[] {
  let head: Buffer = ACCESS_LOG_START;
  return preimages.map((preimage, index) => {
    const sequence = BigInt(index + 1);
    const leaf = accessLogLeaf(preimage);
    head = foldAccessLog(head, sequence, leaf);
    return { sequence, preimage, leaf, head };
  });
}

/** At least two entries, all different. */
const chain = fc
  .uniqueArray(entry, { minLength: 2, maxLength: 12, selector: (it) => encodeAccessLogEntry(it).toString('hex') })
  .map((entries) => chainOf(entries.map(encodeAccessLogEntry)));

describe('an entry of the access log', () => {
  it('is read as it was written', () => {
    fc.assert(
      fc.property(entry, (it) => {
        expect(decodeAccessLogEntry(encodeAccessLogEntry(it))).toEqual({ ...it });
      }),
    );
  });

  it('has bytes of its own: what is absent, empty or moved to another field makes other bytes', () => {
    fc.assert(
      fc.property(entry, entry, (one, other) => {
        const same = JSON.stringify(plain(one)) === JSON.stringify(plain(other));
        expect(encodeAccessLogEntry(one).equals(encodeAccessLogEntry(other))).toBe(same);
      }),
    );
    const base = {
      id: 1n,
      at: 0n,
      principal: Buffer.alloc(32),
      actor: null,
      kind: 'audit',
      requestId: null,
      detail: '{}',
    };
    const absent = encodeAccessLogEntry({ ...base, recordId: null });
    expect(encodeAccessLogEntry({ ...base, recordId: Buffer.alloc(0) }).equals(absent)).toBe(false);
  });

  it('has the bytes, leaf and head that docs/access-log.md shows', () => {
    const at = BigInt(Date.parse('2026-03-01T09:30:00Z')) * 1000n + 1n;
    const preimage = encodeAccessLogEntry({
      ...{ id: 1n, at, principal: Buffer.alloc(32, 0x11), actor: null, kind: 'audit' },
      ...{ recordId: null, requestId: null, detail: '{}' },
    });
    const leaf = accessLogLeaf(preimage);
    const shown = readFileSync(new URL('../../../docs/access-log.md', import.meta.url), 'utf8').replace(/\s+/g, '');
    for (const bytes of [preimage, leaf, foldAccessLog(ACCESS_LOG_START, 1n, leaf)]) {
      expect(shown).toContain(bytes.toString('hex'));
    }
  });

  it('is refused when it is cut, longer, or of another layout', () => {
    fc.assert(
      fc.property(entry, fc.nat(), (it, cut) => {
        const whole = encodeAccessLogEntry(it);
        expect(() => decodeAccessLogEntry(whole.subarray(0, cut % whole.length))).toThrow(RangeError);
        expect(() => decodeAccessLogEntry(Buffer.concat([whole, Buffer.alloc(1)]))).toThrow(RangeError);
        expect(() => decodeAccessLogEntry(Buffer.concat([Buffer.from([2]), whole.subarray(1)]))).toThrow(RangeError);
      }),
    );
  });
});

describe('a chain of entries', () => {
  it('is whole, from its beginning and from any link on', () => {
    fc.assert(
      fc.property(chain, fc.nat(), (links, at) => {
        expect(faultInAccessLog(links)).toBeUndefined();
        const from = links[at % links.length]!;
        expect(faultInAccessLog(links.slice((at % links.length) + 1), from)).toBeUndefined();
      }),
    );
  });

  it('shows any removal, but of its end, which its head shows', () => {
    fc.assert(
      fc.property(chain, fc.nat(), (links, at) => {
        const index = at % links.length;
        const left = links.filter((_, i) => i !== index);
        if (index < links.length - 1) expect(faultInAccessLog(left)).toBeDefined();
        else expect(left.at(-1)!.head.equals(links.at(-1)!.head)).toBe(false);
        // Numbered anew, and with heads made to fit, it leads to another head.
        expect(
          chainOf(left.map(({ preimage }) => preimage))
            .at(-1)!
            .head.equals(links.at(-1)!.head),
        ).toBe(false);
      }),
    );
  });

  it('shows any other order', () => {
    fc.assert(
      fc.property(
        chain.chain((links) =>
          fc.tuple(
            fc.constant(links),
            fc.shuffledSubarray(links, { minLength: links.length, maxLength: links.length }),
          ),
        ),
        ([links, shuffled]) => {
          fc.pre(shuffled.some((link, index) => link !== links[index]));
          expect(faultInAccessLog(shuffled)).toBeDefined();
          expect(
            faultInAccessLog(shuffled.map((link, index) => ({ ...link, sequence: BigInt(index + 1) }))),
          ).toBeDefined();
          const forged = chainOf(shuffled.map(({ preimage }) => preimage));
          expect(forged.at(-1)!.head.equals(links.at(-1)!.head)).toBe(false);
        },
      ),
    );
  });

  it('shows any altered byte, and any entry put in', () => {
    fc.assert(
      fc.property(
        chain,
        fc.nat(),
        fc.nat(),
        fc.constantFrom('preimage' as const, 'leaf' as const, 'head' as const),
        fc.integer({ min: 1, max: 255 }),
        (links, at, position, field, flip) => {
          const altered = links.map((link, index) => {
            if (index !== at % links.length) return link;
            const value = Buffer.from(link[field]);
            value[position % value.length]! ^= flip;
            return { ...link, [field]: value };
          });
          expect(faultInAccessLog(altered)).toBeDefined();
          const more = [...links];
          more.splice(at % (links.length + 1), 0, links[position % links.length]!);
          expect(faultInAccessLog(more)).toBeDefined();
        },
      ),
    );
  });
});

function plain(it: AccessLogEntry): unknown {
  return Object.values(it).map((value) =>
    Buffer.isBuffer(value) ? value.toString('hex') : value === null ? null : String(value),
  );
}
