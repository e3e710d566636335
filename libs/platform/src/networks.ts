import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { fromHex } from './bytes.js';

const decimal = z
  .string()
  .regex(/^\d{1,78}$/, 'a decimal string')
  .transform(BigInt);
const bytes = (length: number) =>
  z
    .string()
    .regex(new RegExp(`^0x[0-9a-fA-F]{${length * 2}}$`), `0x and ${length} bytes of hex`)
    .transform((hex) => fromHex(hex, length));

/** An account that sends this hospital's transactions, and where its key is. The ledger must know it as the hospital's relayer. */
const relayerSchema = z.union(
  [
    bytes(20).transform((address) => ({ kind: 'keystore' as const, address })),
    z.strictObject({
      kind: z.enum(['clef', 'web3signer']),
      address: bytes(20),
      /** Where it is asked to sign. May hold a password: it is never logged. */
      url: z.string().regex(/^(https?:\/\/\S+|\/\S+)$/, 'http(s):// or the path of an IPC socket'),
      /** How long it may take over one transaction. */
      timeoutMs: z.int().min(100).max(120_000).default(10_000),
    }),
  ],
  { error: 'an address whose keystore is in KEYSTORE_DIR, or { kind: clef or web3signer, address, url }' },
);

const networkSchema = z.object({
  name: z.string().regex(/^[a-z][a-z0-9-]{0,31}$/),
  chainId: decimal,
  /** Path of geth.ipc, http(s):// or ws(s):// URL. */
  rpc: z.string().min(1),
  /** Another node of the same network, asked for its hash at each checkpoint: best one of another hospital. As `rpc`. */
  witness: z.string().min(1).optional(),
  contract: bytes(20),
  startBlock: decimal.default(0n),
  genesisHash: bytes(32),
  /** An event is final when tip − its block + 1 ≥ this. Local 1; global signers + 1. */
  finalityDepth: z.int().min(1),
  /** Seconds between blocks where they come without transactions too (Clique's period). Left out: there, a silent node says nothing. */
  period: z.int().min(1).optional(),
  gasLimit: z.int().min(1_000_000).default(60_000_000),
  storeRawBlocks: z.boolean().default(false),
  /** Several share the work by record. None: the keystore of the tier, relayer-local.json or relayer-global.json. */
  relayers: z.array(relayerSchema).default([]),
});

const networksSchema = z
  .object({ local: z.string(), global: z.string(), networks: z.array(networkSchema).min(1) })
  .superRefine((file, context) => {
    const names = file.networks.map((network) => network.name);
    for (const tier of ['local', 'global'] as const) {
      if (!names.includes(file[tier]))
        context.addIssue({ code: 'custom', path: [tier], message: 'names no network of this file' });
    }
    if (new Set(names).size !== names.length) {
      context.addIssue({ code: 'custom', path: ['networks'], message: 'two networks have one name' });
    }
  });

export type RelayerConfig = z.output<typeof relayerSchema>;

export type NetworkConfig = z.output<typeof networkSchema>;

/** NETWORKS_FILE of one hospital. `local` and `global` name entries of `networks`, and may name the same one (single-chain form). */
export type NetworksConfig = z.output<typeof networksSchema>;

/** @throws Error naming what does not fit in the file. */
export function readNetworks(file: string): NetworksConfig {
  const result = networksSchema.safeParse(JSON.parse(readFileSync(file, 'utf8')));
  if (result.success) return result.data;
  throw new Error(
    `${file} does not fit: ${result.error.issues.map((i) => `${i.path.join('.')}: ${i.message}`).join('; ')}`,
  );
}

/** The network of a tier ("local", "global") or of a name. @throws RangeError when there is none. */
export function networkOf(config: NetworksConfig, tierOrName: string): NetworkConfig {
  const name = tierOrName === 'local' ? config.local : tierOrName === 'global' ? config.global : tierOrName;
  const network = config.networks.find((candidate) => candidate.name === name);
  if (!network) throw new RangeError(`no network is called ${name}`);
  return network;
}

/** The networks a hospital's indexer follows. One chain may carry both tiers: it is followed once. */
export function followedNetworks(config: NetworksConfig): NetworkConfig[] {
  return [...new Set([networkOf(config, 'local'), networkOf(config, 'global')])];
}
