import { keccak256 } from '../../../../libs/platform/src/keccak.js';
import { encodeHeader } from '../../../../libs/proof/src/header.js';
import { receiptsRoot, unionOfBlooms } from '../../../../libs/proof/src/receipts-trie.js';
import { recoverSender } from '../../../../libs/proof/src/sender.js';
import { encodeBlock, encodeTransaction, transactionsRoot } from '../../../../libs/proof/src/transactions-trie.js';
import type { FetchedBlock, FetchedLog, FetchedTransaction } from '../follow/chain-source.js';
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
  sender: Buffer;
  nonce: bigint;
  /** 1 success, 0 reverted. */
  status: number;
  gasUsed: bigint;
  logs: LedgerLog[];
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
}

export interface BlockVerifierOptions {
  contract: Buffer;
  /** Keep the whole block, so that the mirror can heal a node that lost it. */
  keepRaw: boolean;
  /** Recover every sender from its signature, 60 µs each; else they are the node's word. */
  proveSenders: boolean;
}

// keccak256(rlp([])): a Clique block has no ommers.
const NO_OMMERS = Buffer.from('1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347', 'hex');

/**
 * Recomputes what the block's hash commits to: header, transactions root, receipts root, bloom. A log that was dropped, altered,
 * invented or moved gives another receipts root, hence another header, hence another hash.
 * @throws MismatchError
 */
export function verifyBlock(fetched: FetchedBlock, options: BlockVerifierOptions): VerifiedBlock {
  const { header, hash } = fetched;
  const fail = (detail: string): never => {
    throw new MismatchError(header.number, hash, detail);
  };

  const encodedHeader = encodeHeader(header);
  if (!keccak256(encodedHeader).equals(hash)) fail('its header has another hash.');
  if (fetched.receipts.length !== fetched.transactions.length) fail('it has not one receipt for each transaction.');

  let encoded: Buffer[];
  try {
    encoded = fetched.transactions.map(encodeTransaction);
  } catch (error) {
    return fail(`${(error as Error).message}.`);
  }
  if (!transactionsRoot(encoded).equals(header.transactionsRoot)) fail('its transactions have another root.');
  if (!receiptsRoot(fetched.receipts).equals(header.receiptsRoot)) fail('its receipts have another root.');
  if (!unionOfBlooms(fetched.receipts).equals(header.logsBloom)) fail('its bloom is not that of its receipts.');

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
  };
}

function ledgerTransactions(
  fetched: FetchedBlock,
  encoded: readonly Buffer[],
  { contract, proveSenders }: BlockVerifierOptions,
  fail: (detail: string) => never,
): LedgerTransaction[] {
  const transactions: LedgerTransaction[] = [];
  let logIndex = 0;
  let gasBefore = 0n;
  for (const [index, transaction] of fetched.transactions.entries()) {
    const receipt = fetched.receipts[index] as (typeof fetched.receipts)[number];
    // Hashes are no part of either root, so they are recomputed and not taken.
    const hash = keccak256(encoded[index] as Buffer);
    if (!hash.equals(transaction.hash) || !hash.equals(receipt.transactionHash)) {
      fail(`transaction ${index} was given under another hash.`);
    }
    const logs: LedgerLog[] = [];
    for (const log of receipt.logs) {
      if (log.address.equals(contract)) logs.push({ ...log, logIndex });
      logIndex++;
    }
    const { from, to } = transaction;
    const toLedger = logs.length > 0 || to?.equals(contract);
    // Also of those that aren't kept: with another sender one would be, or the other way round.
    if (proveSenders && !senderOf(transaction)?.equals(from)) {
      fail(`transaction ${index} was given under another sender.`);
    }
    if (toLedger || to?.equals(from)) {
      transactions.push({
        hash,
        index,
        sender: from,
        nonce: transaction.nonce,
        status: receipt.status,
        gasUsed: receipt.cumulativeGasUsed - gasBefore,
        logs,
      });
    }
    gasBefore = receipt.cumulativeGasUsed;
  }
  return transactions;
}

/** Undefined when nobody's signature is on it. */
function senderOf(transaction: FetchedTransaction): Buffer | undefined {
  try {
    return recoverSender(transaction);
  } catch {
    return undefined;
  }
}
