import { z } from 'zod';

const optional = z
  .string()
  .optional()
  .transform((value) => value || undefined);

/** Every variable of the supervised node as a program of its own (`node dist/deploy/geth/main.js`). */
export const gethEnv = z.object({
  /** Name of the network in the hospital's networks file: "local", "global". */
  NETWORK: z.string().regex(/^[a-z][a-z0-9-]{0,31}$/, 'lower-case letters, digits and hyphens'),
  /** Folder of the node: chain, keystore, log. */
  NODE_DIR: z.string().min(1),
  GENESIS_FILE: z.string().min(1),
  /** Founds the network's ledger (`npm run provision`): sent until the ledger is there. */
  LEDGER_FILE: optional,
  /** Keystore V3 of the key that seals; without it the node only follows. */
  SEALER_KEYSTORE_FILE: optional,
  SEALER_PASSPHRASE_FILE: optional,
  /** Reads the mirror: the node is made whole from it before it seals. */
  MIRROR_URL: optional,
  /** Socket, in a folder that is shared with gateway and indexer while NODE_DIR is not. */
  IPC_PATH: optional,
  P2P_HOST: z.string().default('127.0.0.1'),
  /** Port for peers; without it the node listens for none. */
  P2P_PORT: z.coerce.number().int().min(1).max(65_535).optional(),
  /** Folder in which the nodes of a network put their enodes, one file each. */
  ENODE_DIR: optional,
  /** Name or address under which the other nodes reach this one. */
  ENODE_HOST: optional,
});

export type GethEnv = z.output<typeof gethEnv>;
