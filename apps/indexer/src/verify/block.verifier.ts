import { keccak256 } from '../../../../libs/platform/src/keccak.js';
import { encodeHeader } from '../../../../libs/proof/src/header.js';
import { receiptsRoot, unionOfBlooms } from '../../../../libs/proof/src/receipts-trie.js';
import { recoverSender } from '../../../../libs/proof/src/sender.js';
import { encodeBlock, encodeTransaction, transactionsRoot } from '../../../../libs/proof/src/transactions-trie.js';
import type { FetchedBlock, FetchedLog, FetchedReceipt, FetchedTransaction } from '../follow/chain-source.js';
import { MismatchError } from './mismatch.error.js';

/** A log of the ledger, and where it stands in its block. */
export interface LedgerLog extends FetchedLog {
  /** Index in the block, over the logs of all contracts. */
  logIndex: number;
}

/**
 * A transaction that was sent to the ledger, or in which the ledger spoke, or that somebody sent to themselves: with such a one a relayer
 * uses up a nonce of its own without effect, and what became of that nonce is read here.
 */
export interface LedgerTransaction {
  hash: Buffer;
  index: number;
  /** 20 bytes; or, where the source didn't tell, how to have it from the signature (60 µs). */
  sender: Buffer | (() => Buffer);
  /** Sent straight to the ledger. */
  toLedger: boolean;
  nonce: bigint;
  /** 1 success, 0 reverted. */
  status: number;
  gasUsed: bigint;
  /** The ledger's own, read from the receipt anew each time. */
  logs(): LedgerLog[];
  /** Logs of whatever contract: at least as many as `logs`. */
  logCount: number;
}

/** A block whose hash commits to everything in it; the senders are proven by their signatures unless the options say otherwise. */
export interface VerifiedBlock {
  number: bigint;
  hash: Buffer;
  parentHash: Buffer;
  /** Unix seconds. */
  time: bigint;
  receiptsRoot: Buffer;
  /** RLP. */
  header: Buffer;
  /** RLP of the whole block as a node imports it; undefined unless asked for. */
  raw: Buffer | undefined;
  transactions: LedgerTransaction[];
  /** False when the node was believed. */
  verified: boolean;
}

export interface BlockVerifierOptions {
  contract: Buffer;
  /** Keep the whole block, so that the mirror can heal a node that lost it. */
  keepRaw: boolean;
  /** Recover every sender from its signature, 60 µs each; else they are the node's word. A sender that no node named is proven in any case. */
  proveSenders: boolean;
  /** Recompute nothing; the block is then marked unverified. */
  trustNode?: boolean;
}

// keccak256(rlp([])): a Clique block has no ommers.
const NO_OMMERS = Buffer.from('1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347', 'hex');

/**
 * Recomputes what the block's hash commits to: header, transactions root, receipts root, bloom. A log that was dropped, altered,
 * invented or moved gives another receipts root, hence another header, hence another hash.
 * @throws MismatchError
 */
export function verifyBlock(fetched: FetchedBlock, options: BlockVerifierOptions): VerifiedBlock {
  try {
    return verify(fetched, options);
  } catch (error) {
    // Bytes that are read only where somebody asks, and aren't what they should be.
    if (!(error instanceof RangeError)) throw error;
    throw new MismatchError(fetched.header.number, fetched.hash, `it can't be read: ${error.message}.`);
  }
}

function verify(fetched: FetchedBlock, options: BlockVerifierOptions): VerifiedBlock {
  const { header, hash } = fetched;
  const fail = (detail: string): never => {
    throw new MismatchError(header.number, hash, detail);
  };

  const verified = !options.trustNode;
  const encodedHeader = fetched.encodedHeader ?? encodeHeader(header);
  if (verified && !keccak256(encodedHeader).equals(hash)) fail('its header has another hash.');
  if (fetched.receipts.length !== fetched.transactions.length) fail('it has not one receipt for each transaction.');

  let encoded: Buffer[];
  try {
    encoded = fetched.transactions.map((transaction) => transaction.encoded ?? encodeTransaction(transaction));
  } catch (error) {
    return fail(`${(error as Error).message}.`);
  }
  if (verified) {
    if (!transactionsRoot(encoded).equals(header.transactionsRoot)) fail('its transactions have another root.');
    if (!receiptsRoot(fetched.receipts).equals(header.receiptsRoot)) fail('its receipts have another root.');
    if (!unionOfBlooms(fetched.receipts).equals(header.logsBloom)) fail('its bloom is not that of its receipts.');
  }

  const keepRaw = options.keepRaw && header.number > 0n && NO_OMMERS.equals(header.ommersHash);
  return {
    number: header.number,
    hash,
    parentHash: header.parentHash as Buffer,
    time: header.timestamp,
    receiptsRoot: header.receiptsRoot as Buffer,
    header: encodedHeader,
    raw: keepRaw ? encodeBlock(encodedHeader, encoded) : undefined,
    transactions: ledgerTransactions(fetched, encoded, options, fail),
    verified,
  };
}

function ledgerTransactions(
  fetched: FetchedBlock,
  encoded: readonly Buffer[],
  { contract, proveSenders, trustNode }: BlockVerifierOptions,
  fail: (detail: string) => never,
): LedgerTransaction[] {
  const transactions: LedgerTransaction[] = [];
  let logIndex = 0;
  let gasBefore = 0n;
  for (const [index, transaction] of fetched.transactions.entries()) {
    const receipt = fetched.receipts[index] as (typeof fetched.receipts)[number];
    // Hashes are no part of either root, so they are recomputed and not taken.
    const hash = keccak256(encoded[index] as Buffer);
    if (!hash.equals(transaction.hash ?? hash) || !hash.equals(receipt.transactionHash ?? hash)) {
      fail(`transaction ${index} was given under another hash.`);
    }
    const sender = senderOf(transaction, () => fail(`transaction ${index} is signed by nobody.`));
    const toLedger = transaction.to?.equals(contract) ?? false;
    // Also of those that aren't kept: with another sender one would be, or the other way round.
    if (proveSenders && !trustNode && transaction.from && !isSignedBy(transaction, transaction.from)) {
      fail(`transaction ${index} was given under another sender.`);
    }
    const firstLog = logIndex;
    const logCount = receipt.logCount ?? receipt.logs.length;
    logIndex += logCount;
    const concerns =
      toLedger ||
      ledgerLogs(receipt, contract, firstLog).length > 0 ||
      transaction.to?.equals(typeof sender === 'function' ? sender() : sender);
    const gasUntil = receipt.cumulativeGasUsed;
    if (concerns) {
      transactions.push({
        hash,
        index,
        sender,
        toLedger,
        logCount,
        nonce: transaction.nonce,
        status: receipt.status,
        gasUsed: gasUntil - gasBefore,
        logs: () => ledgerLogs(receipt, contract, firstLog),
      });
    }
    gasBefore = gasUntil;
  }
  return transactions;
}

function isSignedBy(transaction: FetchedTransaction, from: Buffer): boolean {
  try {
    return recoverSender(transaction).equals(from);
  } catch {
    return false;
  }
}

function senderOf(transaction: FetchedTransaction, onNobody: () => never): Buffer | (() => Buffer) {
  return (
    transaction.from ??
    (() => {
      try {
        return recoverSender(transaction);
      } catch {
        return onNobody();
      }
    })
  );
}

function ledgerLogs({ logs }: FetchedReceipt, contract: Buffer, firstLog: number): LedgerLog[] {
  const own: LedgerLog[] = [];
  let logIndex = firstLog;
  for (const { address, topics, data } of logs) {
    if (address.equals(contract)) own.push({ address, topics, data, logIndex });
    logIndex++;
  }
  return own;
}
