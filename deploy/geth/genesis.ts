import { fromHex, toHex } from '../../libs/platform/src/bytes.js';
import { keccak256 } from '../../libs/platform/src/keccak.js';
import { headerHash } from '../../libs/proof/src/header.js';
import { EMPTY_TRIE_ROOT } from '../../libs/proof/src/ordered-trie.js';
import { encodeRlp } from '../../libs/proof/src/rlp.js';
import type { Consensus } from './releases.js';

/** Gas a block may use: about what this kind of machine executes in a fraction of a second. */
export const GAS_LIMIT = 60_000_000;

/** ethash never asks for less work than this from any block after the genesis (`MinimumDifficulty` of go-ethereum). */
export const LEAST_DIFFICULTY = 131_072;

/** Balances at block 0 by 0x address, in wei as 0x-hex or decimal text. */
export type Alloc = Record<string, { balance: string }>;

/** A genesis as geth's `init` reads it. Quantities 0x-hex. */
export interface Genesis {
  config: Record<string, unknown> & { chainId: number; clique?: { period: number; epoch: number } };
  nonce?: string;
  mixHash?: string;
  coinbase?: string;
  parentHash?: string;
  extraData: string;
  gasLimit: string;
  difficulty: string;
  timestamp: string;
  alloc: Alloc;
}

export const consensusOf = (genesis: Genesis): Consensus => (genesis.config.clique ? 'clique' : 'pow');

/**
 * Every fork up to Berlin from block 0. No `londonBlock`: under London an idle chain never lowers a base fee that climbed past stored
 * prices, and nothing would be free.
 */
const FORKS = {
  homesteadBlock: 0,
  eip150Block: 0,
  eip155Block: 0,
  eip158Block: 0,
  byzantiumBlock: 0,
  constantinopleBlock: 0,
  petersburgBlock: 0,
  istanbulBlock: 0,
  berlinBlock: 0,
};

/**
 * Genesis of a proof-of-authority (Clique, EIP-225) network with free transactions.
 * `alloc` is empty unless given: at gas price 0 nobody needs funds, so no key is worth stealing for its balance.
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
  alloc?: Alloc;
}): Genesis & { config: { clique: { period: number; epoch: number } } } {
  const { period } = options;
  if (!Number.isSafeInteger(period) || period < 0) throw new RangeError('period is whole seconds, 0 or more');
  const signers = [...new Set(options.signers.map((signer) => signer.toLowerCase().replace(/^0x/, '')))].sort();
  if (signers.length === 0 || signers.some((signer) => !/^[0-9a-f]{40}$/.test(signer))) {
    throw new RangeError('signers are 20-byte addresses, at least one');
  }
  return {
    config: { chainId: chainIdOf(options), ...FORKS, clique: { period, epoch: 30_000 } },
    // 32 bytes of vanity, the signers, 65 bytes for a seal the genesis doesn't have (EIP-225)
    extraData: `0x${'00'.repeat(32)}${signers.join('')}${'00'.repeat(65)}`,
    ...commonOf({ ...options, difficulty: 1 }),
  };
}

/**
 * Genesis of a proof-of-work (ethash) network with free transactions, for experiments: the parameters of the paper's (nonce 0x42,
 * empty mix hash and coinbase) where they have no bearing, and forks, gas limit and difficulty with which today's contract can work.
 * @param difficulty expected hashes a block; the chain then moves it by at most a 2,048th a block, towards 10 to 20 s between blocks
 * @throws RangeError on a value out of range; a difficulty that the first block couldn't have
 */
export function powGenesis(options: {
  chainId: number;
  difficulty: number;
  gasLimit?: number;
  timestamp?: number;
  alloc?: Alloc;
}): Genesis {
  const { difficulty } = options;
  if (!Number.isSafeInteger(difficulty) || difficulty < LEAST_DIFFICULTY) {
    throw new RangeError(`difficulty is a whole number from ${LEAST_DIFFICULTY}: ethash goes no lower`);
  }
  return {
    config: { chainId: chainIdOf(options), ...FORKS, ethash: {} },
    ...PAPER_SEAL,
    extraData: '0x',
    ...commonOf(options),
  };
}

const PAPER_SEAL = {
  nonce: '0x0000000000000042',
  mixHash: `0x${'00'.repeat(32)}`,
  coinbase: `0x${'00'.repeat(20)}`,
  parentHash: `0x${'00'.repeat(32)}`,
};

/**
 * The paper's own genesis ("A Blockchain-based Model for Securing IoT Transactions in a Healthcare Environment"), to be looked at and
 * mined on, not worked with; docs/networks.md says what can't work in it, and why. `homesteadBlock` is ours: geth 1.11.6 refuses a
 * fork list that begins later.
 */
export function paperGenesis(alloc: Alloc = {}): Genesis {
  return {
    config: { chainId: 80, homesteadBlock: 0, eip150Block: 0, eip155Block: 0, eip158Block: 0, ethash: {} },
    ...PAPER_SEAL,
    extraData: '0x',
    difficulty: '0x200',
    gasLimit: '0x2fef8',
    timestamp: '0x0',
    alloc: checked(alloc),
  };
}

/** How many signers a Clique genesis names: 20 bytes each between 32 of vanity and 65 of seal; none for proof of work. */
export function signerCount(genesis: Genesis): number {
  return genesis.config.clique ? ((genesis.extraData.length - 2) / 2 - 32 - 65) / 20 : 0;
}

/** Hash of block 0, as geth makes it of a genesis of ours that funds nobody: known before any node has run. 0x-hex */
export function genesisHash(genesis: Genesis): string {
  if (Object.keys(genesis.alloc).length > 0) throw new RangeError('with balances in it only a node knows its hash');
  const hash = headerHash({
    parentHash: Buffer.alloc(32),
    ommersHash: keccak256(encodeRlp([])),
    beneficiary: genesis.coinbase ? fromHex(genesis.coinbase) : Buffer.alloc(20),
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
    mixHash: genesis.mixHash ? fromHex(genesis.mixHash) : Buffer.alloc(32),
    nonce: genesis.nonce ? fromHex(genesis.nonce) : Buffer.alloc(8),
  });
  return toHex(hash);
}

function chainIdOf({ chainId }: { chainId: number }): number {
  if (!Number.isSafeInteger(chainId) || chainId < 1) throw new RangeError('chainId is a positive integer');
  return chainId;
}

function commonOf(options: { gasLimit?: number; difficulty: number; timestamp?: number; alloc?: Alloc }) {
  const { gasLimit = GAS_LIMIT, difficulty, timestamp = 0, alloc = {} } = options;
  // 5,000 is the least that a block may have (yellow paper, 4.3.4).
  if (!Number.isSafeInteger(gasLimit) || gasLimit < 5_000) throw new RangeError('gasLimit is whole gas, 5000 or more');
  if (!Number.isSafeInteger(timestamp) || timestamp < 0) throw new RangeError('timestamp is unix seconds');
  return {
    gasLimit: quantity(gasLimit),
    difficulty: quantity(difficulty),
    timestamp: quantity(timestamp),
    alloc: checked(alloc),
  };
}

function checked(alloc: Alloc): Alloc {
  for (const [address, { balance }] of Object.entries(alloc)) {
    if (!/^0x[0-9a-fA-F]{40}$/.test(address)) throw new RangeError(`alloc: ${address} is not a 20-byte address`);
    if (!/^(0x[0-9a-fA-F]{1,64}|\d{1,77})$/.test(balance))
      throw new RangeError(`alloc: ${balance} is no amount of wei`);
  }
  return alloc;
}

const quantity = (value: number) => `0x${value.toString(16)}`;
