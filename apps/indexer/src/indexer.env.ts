import { z } from 'zod';

/** Everything the indexer reads from its environment. */
export const indexerEnv = z.object({
  /** postgres:// URL of the role that writes the mirror. */
  DATABASE_URL: z.string().regex(/^postgres(ql)?:\/\//, 'a postgres:// URL'),
  NETWORKS_FILE: z.string().min(1, 'path of the networks file'),
  HOST: z.string().default('127.0.0.1'),
  MANAGEMENT_PORT: z.coerce.number().int().min(0).max(65_535),
  /**
   * off: the node is believed. Header hashes, roots, blooms and what the node says of hashes and senders are not recomputed, which makes
   * a backfill from a node of one's own faster; sequences and heads are checked all the same. Blocks stored so are marked unverified.
   */
  VERIFICATION: z.enum(['on', 'off']).default('on'),
  LOG_LEVEL: z.enum(['error', 'warn', 'info', 'debug']).default('info'),
  /** Events from which on the mirror is better kept by month: the log says so, and a rebuild does so. */
  MIRROR_PARTITION_EVENTS: z.coerce.number().int().min(1).default(20_000_000),
  /** Chaos runs only: where this process ends itself (libs/platform/src/failpoint.ts). */
  FAILPOINT: z.string().optional(),
});
export type IndexerEnv = z.output<typeof indexerEnv>;
