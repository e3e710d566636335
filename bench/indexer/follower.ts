import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import type { Logger } from '../../deploy/geth/program.js';
import type { HospitalDatabase } from '../../deploy/local/postgres.js';
import type { BenchChain } from './chain.js';
import type { BenchPostgres } from './database.js';
import { type FollowedChain, IndexerUnderTest } from './indexer.js';

/** What each part of the bench works with. */
export interface Given {
  postgres: BenchPostgres;
  /** the bench's state folder */
  dir: string;
  logger: Logger;
  /** the bench is to end */
  signal: AbortSignal;
}

/** An indexer that has caught up with a chain of the bench's own. */
export interface Follower {
  indexer: IndexerUnderTest;
  database: HospitalDatabase;
  /** hears the channel `mirror_commit` */
  listener: pg.Client;
}

export function followed({ ledger, rpcUrl }: BenchChain, finalityDepth = 1): FollowedChain {
  return {
    ...{ rpcUrl, finalityDepth, chainId: BigInt(ledger.chainId), genesisHash: ledger.genesisHash },
    ...{ contract: ledger.contract, startBlock: BigInt(ledger.startBlock) },
  };
}

/** Follows `chain` into a fresh mirror while `work` goes on. */
export async function withFollower<T>(
  given: Pick<Given, 'postgres' | 'dir' | 'signal'> & { chain: BenchChain; finalityDepth: number },
  work: (follower: Follower) => Promise<T>,
): Promise<T> {
  const database = await given.postgres.fresh('follower');
  const dir = join(given.dir, 'follower');
  mkdirSync(dir, { recursive: true });
  const chain = followed(given.chain, given.finalityDepth);
  const indexer = new IndexerUnderTest({ chain, databaseUrl: database.mirrorUrl, dir, signal: given.signal });
  const listener = new pg.Client({ connectionString: database.mirrorUrl });
  await listener.connect();
  try {
    await listener.query('LISTEN mirror_commit');
    await indexer.start();
    await indexer.until((_network, status) => status === 'ready');
    return await work({ indexer, database, listener });
  } finally {
    indexer.resume();
    await indexer.stop();
    await listener.end();
  }
}
