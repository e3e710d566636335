import { fromHex, toHex } from '../../libs/platform/src/bytes.js';
import { keccak256 } from '../../libs/platform/src/keccak.js';
import { headerHash } from '../../libs/proof/src/header.js';
import { EMPTY_TRIE_ROOT } from '../../libs/proof/src/ordered-trie.js';
import { encodeRlp } from '../../libs/proof/src/rlp.js';

/** Gas a block may use: about what this kind of machine executes in a fraction of a second. */
export const GAS_LIMIT = 60_000_000;

/** A genesis as geth's `init` reads it. */
export interface Genesis {
  config: Record<string, unknown> & { chainId: number; clique: { period: number; epoch: number } };
  extraData: string;
  gasLimit: string;
  difficulty: string;
  timestamp: string;
  /** Balances at block 0 by 0x address; none where transactions are free. */
  alloc: Record<string, { balance: string }>;
}

/**
 * Genesis of a proof-of-authority (Clique, EIP-225) network with free transactions.
 * No `londonBlock`: under London an idle chain never lowers a base fee that climbed past stored prices. `alloc` is empty:
 * at gas price 0 nobody needs funds, so no key is worth stealing for its balance.
 * @param period seconds between blocks; 0 seals a block when a transaction arrives
 * @param signers 0x addresses that may seal; Clique wants them sorted, so their order here has no meaning
 * @throws RangeError on an empty or malformed signer list or a chain id out of range
 */
export function cliqueGenesis(options: {
  chainId: number;
  period: number;
  signers: string[];
  gasLimit?: number;
  /** unix seconds of block 0 */
  timestamp?: number;
}): Genesis {
  const { chainId, period } = options;
  if (!Number.isSafeInteger(chainId) || chainId < 1) throw new RangeError('chainId is a positive integer');
  if (!Number.isSafeInteger(period) || period < 0) throw new RangeError('period is whole seconds, 0 or more');
  const signers = [...new Set(options.signers.map((signer) => signer.toLowerCase().replace(/^0x/, '')))].sort();
  if (signers.length === 0 || signers.some((signer) => !/^[0-9a-f]{40}$/.test(signer))) {
    throw new RangeError('signers are 20-byte addresses, at least one');
  }
  return {
    config: {
      chainId,
      homesteadBlock: 0,
      eip150Block: 0,
      eip155Block: 0,
      eip158Block: 0,
      byzantiumBlock: 0,
      constantinopleBlock: 0,
      petersburgBlock: 0,
      istanbulBlock: 0,
      berlinBlock: 0,
      clique: { period, epoch: 30_000 },
    },
    // 32 bytes of vanity, the signers, 65 bytes for a seal the genesis doesn't have (EIP-225)
    extraData: `0x${'00'.repeat(32)}${signers.join('')}${'00'.repeat(65)}`,
    gasLimit: `0x${(options.gasLimit ?? GAS_LIMIT).toString(16)}`,
    difficulty: '0x1',
    timestamp: `0x${(options.timestamp ?? 0).toString(16)}`,
    alloc: {},
  };
}

/** Hash of block 0, as geth makes it of a genesis of ours: known before any node has run. 0x-hex */
export function genesisHash(genesis: Genesis): string {
  const hash = headerHash({
    parentHash: Buffer.alloc(32),
    ommersHash: keccak256(encodeRlp([])),
    beneficiary: Buffer.alloc(20),
    // Nobody is funded, nothing has happened: all three tries are empty.
    stateRoot: EMPTY_TRIE_ROOT,
    transactionsRoot: EMPTY_TRIE_ROOT,
    receiptsRoot: EMPTY_TRIE_ROOT,
    logsBloom: Buffer.alloc(256),
    difficulty: BigInt(genesis.difficulty),
    number: 0n,
    gasLimit: BigInt(genesis.gasLimit),
    gasUsed: 0n,
    timestamp: BigInt(genesis.timestamp),
    extraData: fromHex(genesis.extraData),
    mixHash: Buffer.alloc(32),
    nonce: Buffer.alloc(8),
  });
  return toHex(hash);
}
