import type { NetworkConfig } from '../../../platform/src/networks.js';
import type { Signer } from '../keys/signer.js';
import { ChainReader } from '../rpc/reader.js';
import { connectRpc } from '../rpc/transport.js';
import type { PackLimits } from './packing.js';

export interface SubmissionLimits {
  /** Transactions of one signer that are stored and in no block yet, at most. */
  maxInFlight: number;
  /** Slots of 32 kB those may take in the node's pool. */
  maxPoolSlots: number;
  /** Calldata bytes of one transaction. */
  maxBytes: number;
  /** An unmined transaction is looked for, and sent again, when it is older than this. */
  resendAfterMs: number;
}

export const defaultLimits: SubmissionLimits = {
  maxInFlight: 8,
  maxPoolSlots: 64,
  maxBytes: 120_000,
  resendAfterMs: 3_000,
};

/** One network as the write path sees it. */
export interface SubmissionNetwork {
  name: string;
  chainId: bigint;
  contract: Buffer;
  reader: ChainReader;
  /** In the order of configuration; several share the work by record. */
  signers: Signer[];
  limits: SubmissionLimits;
  /** False while the node is behind what the mirror has seen: nothing new is assigned then. */
  assigning: boolean;
  /** False until the signers were held against the chain once: before, nothing is assigned either. */
  aligned: boolean;
  /** Gas limit of one transaction, at most. */
  maxGas: number;
}

export function openNetwork(
  config: NetworkConfig,
  signers: readonly Signer[],
  limits: Partial<SubmissionLimits>,
): SubmissionNetwork {
  return {
    name: config.name,
    chainId: config.chainId,
    contract: config.contract,
    reader: new ChainReader(connectRpc(config.rpc)),
    signers: [...signers],
    limits: { ...defaultLimits, ...limits },
    assigning: true,
    aligned: false,
    // Two of the largest fit into one block, and a block stays a fraction of a second.
    maxGas: Math.floor(config.gasLimit / 2),
  };
}

/** What may be packed when `inFlight` transactions with `slots` slots are out. */
export function packLimits(network: SubmissionNetwork, inFlight: number, slots: number): PackLimits {
  const { limits, maxGas } = network;
  return {
    maxBytes: limits.maxBytes,
    maxGas,
    maxTransactions: Math.max(0, limits.maxInFlight - inFlight),
    maxSlots: Math.max(0, limits.maxPoolSlots - slots),
  };
}
