import { describe, expect, it } from 'vitest';
import { genesisOf, makeBlock, randomBlock } from '../../test/chain-model.js';
import { LedgerModel, modelContract, Random } from '../../test/ledger-model.js';
import type { FetchedBlock, FetchedLog, FetchedReceipt } from '../follow/chain-source.js';
import { verifyBlock } from './block.verifier.js';
import { MismatchError } from './mismatch.error.js';

const options = { contract: modelContract(), keepRaw: true, proveSenders: false };

/** A block of the model with several transactions and logs. */
function fullBlock(): FetchedBlock {
  const random = new Random(7);
  let block = genesisOf(modelContract(), random);
  do block = randomBlock(block, random);
  while (block.fetched.receipts.length < 2 || block.fetched.receipts.some(({ logs }) => logs.length < 3));
  return block.fetched;
}

function withLogs(block: FetchedBlock, change: (logs: FetchedLog[]) => FetchedLog[]): FetchedBlock {
  const [first, ...rest] = block.receipts as [FetchedReceipt, ...FetchedReceipt[]];
  return { ...block, receipts: [{ ...first, logs: change([...first.logs]) }, ...rest] };
}

describe('verifyBlock', () => {
  it('accepts a block that is what its hash says', () => {
    const block = fullBlock();
    const verified = verifyBlock(block, options);
    const logs = verified.transactions.flatMap((transaction) => transaction.logs());
    expect(logs.map(({ logIndex }) => logIndex)).toEqual(logs.map((_, index) => index));
    expect(verified.raw?.includes(verified.header)).toBe(true);
  });

  it('keeps what was sent to the ledger, and what somebody sent to themselves', () => {
    const random = new Random(3);
    const { fetched } = makeBlock(
      genesisOf(modelContract(), random),
      LedgerModel.empty(modelContract()),
      [[], []],
      random,
    );
    expect(verifyBlock(fetched, options).transactions.map(({ index }) => index)).toEqual([0, 1]);
    const elsewhere = { ...options, contract: Buffer.alloc(20, 5) };
    expect(verifyBlock(fetched, elsewhere).transactions).toEqual([]);
    const [first, second] = fetched.transactions;
    const noop = { ...fetched, transactions: [first!, { ...second!, from: second!.to! }] };
    expect(verifyBlock(noop, elsewhere).transactions).toMatchObject([{ index: 1, sender: modelContract(), status: 0 }]);
  });

  it.each<[string, (block: FetchedBlock) => FetchedBlock]>([
    ['a log dropped', (block) => withLogs(block, (logs) => logs.slice(1))],
    ['all logs of a transaction dropped', (block) => withLogs(block, () => [])],
    ['two logs swapped', (block) => withLogs(block, ([a, b, ...rest]) => [b as FetchedLog, a as FetchedLog, ...rest])],
    ['a log invented', (block) => withLogs(block, (logs) => [...logs, logs[0] as FetchedLog])],
    [
      'one bit of a log altered',
      (block) =>
        withLogs(block, ([log, ...rest]) => {
          const data = Buffer.from((log as FetchedLog).data);
          data[40] = (data[40] as number) ^ 1;
          return [{ ...(log as FetchedLog), data }, ...rest];
        }),
    ],
    [
      'a log of the ledger given to another contract',
      (block) => withLogs(block, ([log, ...rest]) => [{ ...(log as FetchedLog), address: Buffer.alloc(20) }, ...rest]),
    ],
    [
      'a transaction left out with its receipt',
      (block) => ({ ...block, transactions: block.transactions.slice(1), receipts: block.receipts.slice(1) }),
    ],
    ['a receipt left out', (block) => ({ ...block, receipts: block.receipts.slice(1) })],
    [
      'a failed transaction made a success',
      (block) => ({
        ...block,
        receipts: block.receipts.map((receipt) => ({ ...receipt, status: 1 - receipt.status })),
      }),
    ],
    [
      'a transaction under another hash',
      (block) => ({
        ...block,
        transactions: block.transactions.map((transaction) => ({ ...transaction, hash: Buffer.alloc(32, 1) })),
      }),
    ],
    [
      'another nonce',
      (block) => ({
        ...block,
        transactions: block.transactions.map((transaction) => ({ ...transaction, nonce: transaction.nonce + 1n })),
      }),
    ],
    ['another time', (block) => ({ ...block, header: { ...block.header, timestamp: 1n } })],
    ['another hash', (block) => ({ ...block, hash: Buffer.alloc(32, 3) })],
  ])('finds %s', (_name, lie) => {
    expect(() => verifyBlock(lie(fullBlock()), options)).toThrow(MismatchError);
  });
});
