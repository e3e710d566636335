import pg from 'pg';
import type { ChainLog } from '../../libs/chain-client/src/rpc/reader.js';
import { ledgerOf } from '../client/ledger.js';

/** A transaction of the hospital's relayer that is in a block. */
export interface SentTransaction {
  hash: Buffer;
  nonce: bigint;
  status: number;
}

export interface StoredOperation {
  id: string;
  type: string;
  request_id: Buffer;
  phase: string;
  failure: { code: string } | null;
}

export interface StoredTransaction {
  nonce: string;
  state: string;
  hashes: Buffer[];
}

export interface MirrorEvent {
  sequence: string;
  type: string;
  request_id: Buffer;
  block_number: string;
  block_hash: Buffer;
  log_index: number;
  transaction_hash: Buffer;
  topics: Buffer;
  data: Buffer;
}

/** All that a verdict rests on: what the node says of the chain, and what the database holds. Nothing of it went through the gateway. */
export interface Facts {
  /** every log of the ledger, in order */
  logs: ChainLog[];
  sent: SentTransaction[];
  /** transactions of the relayer in the node's pool */
  pooled: number;
  tip: { number: bigint; hash: Buffer };
  operations: StoredOperation[];
  signer: { next_nonce: string; state: string; reason: string | null } | undefined;
  transactions: StoredTransaction[];
  events: MirrorEvent[];
  cursor: { number: string; hash: Buffer; sequence: string; head: Buffer; stopped_reason: string | null } | undefined;
  orphans: number;
  reorganisations: { depth: number; beyond_finality: boolean }[];
}

export interface FactSource {
  /** NETWORKS_FILE whose node is asked: the node itself, not the proxy */
  networksFile: string;
  /** of the database's owner */
  ownerUrl: string;
  /** 20 bytes */
  relayer: Buffer;
}

/** Reads the local network's facts. The node is asked by eth_getLogs and for its blocks; the tables are read as they are. */
export async function readFacts(source: FactSource): Promise<Facts> {
  const ledger = ledgerOf(source, 'local');
  const database = new pg.Client({ connectionString: source.ownerUrl });
  await database.connect();
  try {
    const { reader } = ledger;
    const tip = await reader.header('latest');
    if (!tip) throw new Error('the node has no tip');
    const logs = await ledger.logs();
    const sent = await sentBy(source.relayer, reader, tip.number);
    const [mined, pending] = await Promise.all([
      reader.transactionCount(source.relayer, 'latest'),
      reader.transactionCount(source.relayer, 'pending'),
    ]);
    const rows = async <T>(sql: string, values: unknown[] = []) => (await database.query(sql, values)).rows as T[];
    const [signer] = await rows<NonNullable<Facts['signer']>>(
      `SELECT next_nonce, state, reason FROM gateway.signer WHERE network = 'local' AND address = $1`,
      [source.relayer],
    );
    const [cursor] = await rows<NonNullable<Facts['cursor']>>(
      `SELECT number, hash, sequence, head, stopped_reason FROM mirror.cursor WHERE network = 'local'`,
    );
    const [orphans] = await rows<{ n: number }>(
      `SELECT count(*)::int AS n FROM mirror.orphaned_event WHERE network = 'local'`,
    );
    return {
      ...{ logs, sent, pooled: Number(pending - mined), tip: { number: tip.number, hash: tip.hash }, signer, cursor },
      operations: await rows(
        `SELECT id, type, request_id, phase, failure FROM gateway.operation WHERE network = 'local'`,
      ),
      transactions: await rows(
        `SELECT t.nonce, t.state, array_agg(a.hash) AS hashes
         FROM gateway.transaction t JOIN gateway.signer s ON s.id = t.signer_id AND s.network = 'local'
         JOIN gateway.attempt a ON a.transaction_id = t.id GROUP BY t.id ORDER BY t.nonce`,
      ),
      events: await rows(
        `SELECT sequence, type, request_id, block_number, block_hash, log_index, transaction_hash, topics, data
         FROM mirror.emr_event WHERE network = 'local' ORDER BY sequence`,
      ),
      orphans: orphans?.n ?? 0,
      reorganisations: await rows(
        `SELECT depth, beyond_finality FROM mirror.reorganisation WHERE network = 'local' ORDER BY id`,
      ),
    };
  } finally {
    await database.end();
    await ledger.close();
  }
}

async function sentBy(
  relayer: Buffer,
  reader: ReturnType<typeof ledgerOf>['reader'],
  tip: bigint,
): Promise<SentTransaction[]> {
  const sent: SentTransaction[] = [];
  const page = 200n;
  for (let from = 1n; from <= tip; from += page) {
    const to = from + page - 1n < tip ? from + page - 1n : tip;
    const blocks = (await reader.blocks(from, to)).filter(({ transactions }) => transactions.length > 0);
    const receipts = await reader.receiptsOf(blocks.map(({ hash }) => hash));
    for (const [index, block] of blocks.entries()) {
      for (const [at, { hash, nonce, from: sender }] of block.transactions.entries()) {
        if (sender.equals(relayer)) sent.push({ hash, nonce, status: receipts[index]?.[at]?.status ?? -1 });
      }
    }
  }
  return sent;
}
