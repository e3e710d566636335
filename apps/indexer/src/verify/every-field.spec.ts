import { Transaction as EthersTransaction, Wallet } from 'ethers';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { headerHash } from '../../../../libs/proof/src/header.js';
import { receiptsRoot, unionOfBlooms } from '../../../../libs/proof/src/receipts-trie.js';
import { encodeTransaction, transactionHash, transactionsRoot } from '../../../../libs/proof/src/transactions-trie.js';
import { modelContract } from '../../test/ledger-model.js';
import type { FetchedBlock, FetchedReceipt, FetchedTransaction } from '../follow/chain-source.js';
import { verifyBlock } from './block.verifier.js';
import { MismatchError } from './mismatch.error.js';

const options = { contract: modelContract(), keepRaw: true, proveSenders: true };
const wallet = new Wallet(`0x${'2f'.repeat(32)}`);
const from = Buffer.from(wallet.address.slice(2), 'hex');

/** A transaction of the type, signed by ethers. */
function transactionOf(type: 0 | 1 | 2, nonce: number, to: Buffer): FetchedTransaction {
  const accessList = type === 0 ? [] : [{ address: Buffer.alloc(20, 3), storageKeys: [Buffer.alloc(32, 4)] }];
  const made = EthersTransaction.from({
    type,
    chainId: 7n,
    nonce,
    gasLimit: 90_000n,
    to: `0x${to.toString('hex')}`,
    value: 5n,
    data: '0x0102',
    ...(type === 2 ? { maxFeePerGas: 9n, maxPriorityFeePerGas: 2n } : { gasPrice: 8n }),
    ...(type === 0 ? {} : { accessList: [{ address: `0x${'03'.repeat(20)}`, storageKeys: [`0x${'04'.repeat(32)}`] }] }),
  });
  const signature = wallet.signingKey.sign(made.unsignedHash);
  const transaction = {
    type,
    chainId: 7n,
    nonce: BigInt(nonce),
    gasPrice: 8n,
    maxPriorityFeePerGas: 2n,
    maxFeePerGas: 9n,
    gasLimit: 90_000n,
    to,
    value: 5n,
    input: Buffer.from('0102', 'hex'),
    accessList,
    v: BigInt(signature.yParity) + (type === 0 ? 49n : 0n),
    r: BigInt(signature.r),
    s: BigInt(signature.s),
  };
  return { ...transaction, from, hash: transactionHash(encodeTransaction(transaction)) };
}

/** A block with a transaction of every type to the ledger, one from its sender to itself, and every header field of every fork. */
function fullBlock(): FetchedBlock {
  const transactions = [
    ...([0, 1, 2] as const).map((type) => transactionOf(type, type, options.contract)),
    transactionOf(0, 3, from),
  ];
  const receipts: FetchedReceipt[] = transactions.map(({ hash, type }, index) => ({
    transactionHash: hash,
    type,
    status: index === 2 ? 0 : 1,
    cumulativeGasUsed: 30_000n * BigInt(index + 1),
    logsBloom: Buffer.alloc(256, index + 1),
    logs: Array.from({ length: 3 - index }, (_, log) => ({
      address: log === 1 ? Buffer.alloc(20, 8) : options.contract,
      topics: Array.from({ length: log + 1 }, (__, topic) => Buffer.alloc(32, 16 * index + topic + 1)),
      data: Buffer.alloc(32 * log, 9 + log),
    })),
  }));
  const header = {
    parentHash: Buffer.alloc(32, 1),
    ommersHash: Buffer.from('1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347', 'hex'),
    beneficiary: Buffer.alloc(20, 2),
    stateRoot: Buffer.alloc(32, 3),
    transactionsRoot: transactionsRoot(transactions.map(encodeTransaction)),
    receiptsRoot: receiptsRoot(receipts),
    logsBloom: unionOfBlooms(receipts),
    difficulty: 2n,
    number: 12n,
    gasLimit: 60_000_000n,
    gasUsed: 120_000n,
    timestamp: 1_700_000_000n,
    extraData: Buffer.alloc(97, 4),
    mixHash: Buffer.alloc(32),
    nonce: Buffer.alloc(8),
    baseFeePerGas: 7n,
    withdrawalsRoot: Buffer.alloc(32, 5),
    blobGasUsed: 1n,
    excessBlobGas: 2n,
    parentBeaconBlockRoot: Buffer.alloc(32, 6),
    requestsHash: Buffer.alloc(32, 7),
  };
  return { hash: headerHash(header), header, transactions, receipts };
}

type Leaf = Buffer | bigint | number;
type Node = Record<string, unknown>;
type Path = (string | number)[];

/** Every field and every list below `node`, by its path. */
function paths(node: unknown, at: Path = []): Path[] {
  if (Buffer.isBuffer(node) || typeof node !== 'object' || node === null) return [at];
  const below = Object.entries(node).flatMap(([key, value]) => paths(value, [...at, key]));
  return Array.isArray(node) ? [at, ...below] : below;
}

/** Fields of which nothing is kept and to which nothing commits: what a type of transaction has no use for. */
function isMeaningless(block: FetchedBlock, path: Path): boolean {
  if (path[0] !== 'transactions' || path.length < 3) return false;
  const { type } = block.transactions[Number(path[1])] as FetchedTransaction;
  const unused = [
    ['chainId', 'maxPriorityFeePerGas', 'maxFeePerGas', 'accessList'],
    ['maxPriorityFeePerGas', 'maxFeePerGas'],
    ['gasPrice'],
  ];
  return (unused[type] as string[]).includes(path[2] as string);
}

/** The block with what is at the path replaced; everything else is shared. */
function replaced(node: unknown, [key, ...rest]: Path, change: (value: unknown) => unknown): unknown {
  if (key === undefined) return change(node);
  const copy = (Array.isArray(node) ? [...node] : { ...(node as Node) }) as Node;
  copy[key] = replaced(copy[key], rest, change);
  return copy;
}

function altered(value: unknown, dice: number): unknown {
  if (Array.isArray(value)) return alteredList(value, dice);
  if (Buffer.isBuffer(value)) return alteredBytes(value, dice);
  if (typeof value === 'bigint') return dice % 3 === 0 && value > 0n ? value - 1n : value + 1n + BigInt(dice);
  return (value as number) + 1 + (dice % 3);
}

function alteredBytes(value: Buffer, dice: number): Buffer {
  if (value.length === 0 || dice % 5 === 0) return Buffer.concat([value, Buffer.of(dice & 255)]);
  if (dice % 5 === 1) return value.subarray(0, -1);
  const copy = Buffer.from(value);
  const at = dice % copy.length;
  copy[at] = (copy[at] as number) ^ (1 << ((dice >> 8) % 8));
  return copy;
}

function alteredList(value: unknown[], dice: number): unknown[] {
  const copy = [...value];
  const at = dice % Math.max(copy.length, 1);
  if (copy.length > 1 && dice % 4 === 0) [copy[0], copy[1]] = [copy[1], copy[0]];
  else if (copy.length > 0 && dice % 4 === 1) copy.splice(at, 1);
  else if (copy.length > 0) copy.splice(at, 0, copy[at]);
  else copy.push({ address: Buffer.alloc(20, 1), storageKeys: [], topics: [], data: Buffer.alloc(0) });
  return copy;
}

/** The block as it is verified, and the logs that it gives. */
function readOut(block: FetchedBlock) {
  const { transactions, ...rest } = verifyBlock(block, options);
  return { ...rest, transactions: transactions.map((transaction) => ({ ...transaction, logs: transaction.logs() })) };
}

describe('verifyBlock', () => {
  const block = fullBlock();
  const all = paths(block);

  it('accepts the block itself', () => {
    const verified = verifyBlock(block, options);
    expect(verified.transactions.map(({ index }) => index)).toEqual([0, 1, 2, 3]);
    expect(verified.transactions.every(({ sender }) => Buffer.isBuffer(sender) && sender.equals(from))).toBe(true);
    expect(all.length).toBeGreaterThan(110);
  });

  it.each(all.map((path) => [path.join('.'), path] as const))('is not told otherwise about %s', (_name, path) => {
    fc.assert(
      fc.property(fc.nat(0xffffff), (dice) => {
        const told = replaced(block, path, (value) => altered(value as Leaf, dice)) as FetchedBlock;
        if (isMeaningless(block, path)) expect(readOut(told)).toEqual(readOut(block));
        else expect(() => verifyBlock(told, options)).toThrow(MismatchError);
      }),
      { numRuns: 12 },
    );
  });

  it.each([
    'baseFeePerGas',
    'withdrawalsRoot',
    'blobGasUsed',
    'excessBlobGas',
    'parentBeaconBlockRoot',
    'requestsHash',
  ])('is not told that the header has no %s', (field) => {
    const told = { ...block, header: { ...block.header, [field]: undefined } };
    expect(() => verifyBlock(told, options)).toThrow(MismatchError);
  });
});
