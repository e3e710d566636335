import type { Header } from '../../../../libs/proof/src/header.js';
import type { Receipt } from '../../../../libs/proof/src/receipts-trie.js';
import type { Transaction } from '../../../../libs/proof/src/transactions-trie.js';

/** One block of one chain. */
export interface Position {
  number: bigint;
  hash: Buffer;
}

/** What a node says of a new head. */
export interface Head extends Position {
  parentHash: Buffer;
}

export interface FetchedTransaction extends Transaction {
  /** Undefined when the source gave the signed bytes: then it follows from them. */
  hash: Buffer | undefined;
  /** Undefined when the source gave the signed bytes: then the signature tells. */
  from: Buffer | undefined;
  to: Buffer | undefined;
  /** The signed bytes; undefined when the source gave fields alone. */
  encoded?: Buffer;
}

export interface FetchedReceipt extends Receipt {
  /** Undefined when the source gave the consensus encoding, of which it is no part. */
  transactionHash: Buffer | undefined;
  logs: readonly FetchedLog[];
  /** How many logs, where that is cheaper to have than they are. */
  logCount?: number;
  /** The consensus encoding; undefined when the source gave fields alone. */
  encoded?: Buffer;
}

export interface FetchedLog {
  address: Buffer;
  topics: readonly Buffer[];
  data: Buffer;
}

/** A block as a node told it: nothing of it is believed before `verifyBlock`. */
export interface FetchedBlock {
  hash: Buffer;
  header: Header;
  /** RLP of the header; undefined when the source gave fields alone. */
  encodedHeader?: Buffer;
  transactions: readonly FetchedTransaction[];
  receipts: readonly FetchedReceipt[];
  /** One of a range with very many transactions: history, whose senders are not worth a signature check each. */
  bulk?: boolean;
}

/** Nodes that lead from a block's state root to an account, and from the account to its storage slots: RLP each, from the root down. */
export interface StateProof {
  account: Buffer[];
  slots: Buffer[][];
}

export interface Watch {
  close(): Promise<void>;
}

/** Where blocks come from: a node's JSON-RPC endpoint, or a model of a chain in tests. */
export interface ChainSource {
  identity(): Promise<{ chainId: bigint; genesisHash: Buffer }>;
  head(): Promise<Head>;
  /** Hash of the node's canonical block; undefined when it has none of that number. */
  hashAt(number: bigint): Promise<Buffer | undefined>;
  /** The block of that hash; undefined when the node doesn't know it (any more). */
  blockByHash(position: Position): Promise<FetchedBlock | undefined>;
  /** Canonical blocks `from` to `to`, both included; ends early where the node has no more. They need not link if the chain moves meanwhile. */
  blocksByNumber(from: bigint, to: bigint): Promise<FetchedBlock[]>;
  /** @throws RpcError where the node can't prove it: it lacks the method, or the state of that block */
  stateProof(account: Buffer, slots: readonly Buffer[], number: bigint): Promise<StateProof>;
  /** Tells each new head. `onGap` says that heads may have been missed. */
  watch(onHead: (head: Head) => void, onGap: () => void): Promise<Watch>;
}
