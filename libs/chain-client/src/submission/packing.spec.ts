import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodeExecute, type Intent } from '../../../contracts/src/intent.codec.js';
import { Operation, transactionGas } from '../../../contracts/src/operations.js';
import { newKey } from '../keys/secp256k1.js';
import { signLegacyTransaction } from '../keys/transaction.js';
import { fitsAlone, type Packable, pack, slotsOf, TRANSACTION_FRAME } from './packing.js';

interface Act extends Packable {
  index: number;
}

const acts = fc
  .array(
    fc.record({
      code: fc.constantFrom(...Object.values(Operation)),
      words: fc.oneof(
        { weight: 9, arbitrary: fc.integer({ min: 0, max: 8 }) },
        { weight: 1, arbitrary: fc.integer({ min: 0, max: 400 }) },
      ),
      batchLimit: fc.oneof(
        { weight: 9, arbitrary: fc.constant(null) },
        { weight: 1, arbitrary: fc.integer({ min: 1, max: 5 }) },
      ),
    }),
    { maxLength: 120 },
  )
  .map((all) =>
    all.map(
      ({ code, words, batchLimit }, index): Act => ({
        code,
        parameters: Buffer.alloc(words * 32, 1),
        batchLimit,
        index,
      }),
    ),
  );
const limits = fc.record({
  maxBytes: fc.integer({ min: 700, max: 20_000 }),
  maxGas: fc.integer({ min: 150_000, max: 3_000_000 }),
  maxTransactions: fc.integer({ min: 0, max: 12 }),
  maxSlots: fc.integer({ min: 0, max: 12 }),
});

const intentOf = (act: Act): Intent => ({
  operation: act.code,
  requestId: Buffer.alloc(32),
  recordId: Buffer.alloc(32),
  parameters: act.parameters,
  actor: Buffer.alloc(20),
  deadline: 1,
  authContext: Buffer.alloc(32),
  signature: Buffer.alloc(65),
});

describe('pack', () => {
  it('keeps the order, loses nothing, and breaks no limit', () => {
    fc.assert(
      fc.property(acts, limits, (all, limit) => {
        const { transactions, oversized } = pack(all, limit);
        const packed = transactions.flat();
        const fitting = all.filter((act) => !oversized.includes(act));
        expect(packed).toEqual(fitting.slice(0, packed.length));
        expect(transactions.length).toBeLessThanOrEqual(limit.maxTransactions);
        let slots = 0;
        for (const transaction of transactions) {
          expect(transaction.length).toBeGreaterThan(0);
          const data = encodeExecute(transaction.map(intentOf));
          expect(data.length).toBeLessThanOrEqual(limit.maxBytes);
          expect(transactionGas(transaction.map(intentOf))).toBeLessThanOrEqual(limit.maxGas);
          for (const { batchLimit } of transaction)
            expect(transaction.length).toBeLessThanOrEqual(batchLimit ?? Number.POSITIVE_INFINITY);
          slots += slotsOf(data.length);
        }
        expect(slots).toBeLessThanOrEqual(limit.maxSlots);
        for (const act of oversized) expect(fitsAlone(act, limit)).toBe(false);
      }),
    );
  });

  it('opens a transaction only when the act does not fit into the one before', () => {
    fc.assert(
      fc.property(acts, limits, (all, limit) => {
        const { transactions } = pack(all, limit);
        for (let index = 1; index < transactions.length; index++) {
          const joined = [...transactions[index - 1]!, transactions[index]![0]!];
          const tooMany = joined.some(({ batchLimit }) => joined.length > (batchLimit ?? Number.POSITIVE_INFINITY));
          const tooLarge = encodeExecute(joined.map(intentOf)).length > limit.maxBytes;
          expect(tooMany || tooLarge || transactionGas(joined.map(intentOf)) > limit.maxGas).toBe(true);
        }
      }),
    );
  });

  it('leaves acts waiting only for want of transactions or slots', () => {
    fc.assert(
      fc.property(acts, limits, (all, limit) => {
        const roomy = { ...limit, maxTransactions: 1_000, maxSlots: 10_000 };
        const { transactions, oversized } = pack(all, roomy);
        expect(transactions.flat().length + oversized.length).toBe(all.length);
      }),
    );
  });

  it('knows how much a signed transaction adds to its calldata', () => {
    const data = Buffer.alloc(120_000, 1);
    const largest = {
      chainId: 2n ** 52n,
      nonce: 2n ** 53n,
      gasPrice: 10n ** 15n,
      gasLimit: 60_000_000n,
      to: Buffer.alloc(20, 1),
      data,
    };
    const { raw } = signLegacyTransaction(largest, newKey());
    expect(raw.length - data.length).toBeLessThanOrEqual(TRANSACTION_FRAME);
    expect(raw.length).toBeLessThan(131_072);
  });
});
