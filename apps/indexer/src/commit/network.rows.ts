import type { PoolClient } from 'pg';
import { toHex } from '../../../../libs/platform/src/bytes.js';
import type { NetworkConfig } from '../../../../libs/platform/src/networks.js';
import { ZERO_HEAD } from '../../../../libs/proof/src/head.js';
import type { VerifiedBlock } from '../verify/block.verifier.js';
import { blockRow, blockTable } from './mirror.tables.js';
import { StatementBuilder } from './statement.js';

/** The node, the configuration and the mirror don't speak of the same chain. Following would mix two histories, so it is refused. */
export class ReplacedChainError extends Error {
  override readonly name = 'ReplacedChainError';
}

interface NetworkRow {
  chain_id: string;
  genesis_hash: Buffer;
  contract: Buffer;
}

/** @throws ReplacedChainError when the node serves another chain than the one configured */
export function assertSameChain(network: NetworkConfig, node: { chainId: bigint; genesisHash: Buffer }): void {
  const refuse = (what: string, given: unknown, expected: unknown) => {
    throw new ReplacedChainError(
      `The node of the network ${network.name} has ${what} ${given}, configured is ${expected}: its chain was replaced, or it is another node's.`,
    );
  };
  if (node.chainId !== network.chainId) refuse('chain id', node.chainId, network.chainId);
  if (!node.genesisHash.equals(network.genesisHash)) {
    refuse('genesis hash', toHex(node.genesisHash), toHex(network.genesisHash));
  }
}

/**
 * Takes the lead in the database: raises the epoch, so that whatever an earlier leader still tries to commit fails. On the first start
 * writes the network and a cursor before its first block.
 * @param readBase the block before the first one to mirror (genesis when that is block 0)
 * @returns the epoch to commit under
 * @throws ReplacedChainError when the mirror holds another chain of that name
 */
export async function openNetwork(
  client: PoolClient,
  network: NetworkConfig,
  readBase: (number: bigint) => Promise<VerifiedBlock>,
): Promise<bigint> {
  await assertMirrored(client, network);
  const raise = () =>
    client.query<{ epoch: string }>('UPDATE cursor SET epoch = epoch + 1 WHERE network = $1 RETURNING epoch', [
      network.name,
    ]);
  const raised = await raise();
  if (raised.rows[0]) return BigInt(raised.rows[0].epoch);
  await writeBase(client, network, await readBase(network.startBlock > 0n ? network.startBlock - 1n : 0n));
  const { rows } = await raise();
  return BigInt((rows[0] as { epoch: string }).epoch);
}

async function assertMirrored(client: PoolClient, network: NetworkConfig): Promise<void> {
  const { rows } = await client.query<NetworkRow>(
    `INSERT INTO network (name, chain_id, genesis_hash, contract, start_block, finality_depth)
     VALUES ($1, $2, $3, $4, $5, $6)
     ON CONFLICT (name) DO UPDATE SET finality_depth = EXCLUDED.finality_depth
     RETURNING chain_id, genesis_hash, contract`,
    [
      network.name,
      network.chainId.toString(),
      network.genesisHash,
      network.contract,
      network.startBlock.toString(),
      network.finalityDepth,
    ],
  );
  const stored = rows[0] as NetworkRow;
  const same =
    BigInt(stored.chain_id) === network.chainId &&
    stored.genesis_hash.equals(network.genesisHash) &&
    stored.contract.equals(network.contract);
  if (!same) {
    throw new ReplacedChainError(
      `The mirror holds the network ${network.name} with chain id ${stored.chain_id}, genesis ${toHex(stored.genesis_hash)} and ` +
        `ledger ${toHex(stored.contract)}; configured are ${network.chainId}, ${toHex(network.genesisHash)} and ${toHex(network.contract)}. ` +
        'Follow the new chain under another name or in a fresh mirror.',
    );
  }
}

async function writeBase(client: PoolClient, network: NetworkConfig, base: VerifiedBlock): Promise<void> {
  const state = { sequence: 0n, head: ZERO_HEAD };
  await client.query('BEGIN');
  try {
    const row = blockRow({ block: base, state, events: [], notices: [] });
    await client.query(new StatementBuilder(network.name).insert(blockTable, [row]).build());
    // Nothing below the first block is mirrored, so nothing below it can be taken back: it is final.
    await client.query(
      `INSERT INTO cursor (network, number, hash, final_number, sequence, head, epoch) VALUES ($1, $2, $3, $2, 0, $4, 0)`,
      [network.name, base.number.toString(), base.hash, state.head],
    );
    await client.query('COMMIT');
  } catch (error) {
    await client.query('ROLLBACK').catch(() => undefined);
    throw error;
  }
}
