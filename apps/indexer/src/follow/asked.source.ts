import { MismatchError } from '../verify/mismatch.error.js';
import type { ChainSource, FetchedBlock, Head, Position, StateProof, Watch } from './chain-source.js';

// Hundreds of transactions in one range are blocks that a node sealed long ago: it can't make that many up, as their hashes must fit.
const BULK_TRANSACTIONS = 500;

/**
 * Holds a node's blocks against what was asked for. A sound block in the place of another, an orphan for instance, proves nothing about the
 * other; and whoever is told of a lie must be told the block that was asked for, not the one the node chose to name.
 */
export class AskedSource implements ChainSource {
  constructor(private readonly source: ChainSource) {}

  identity(): Promise<{ chainId: bigint; genesisHash: Buffer }> {
    return this.source.identity();
  }

  head(): Promise<Head> {
    return this.source.head();
  }

  hashAt(number: bigint): Promise<Buffer | undefined> {
    return this.source.hashAt(number);
  }

  /** @throws MismatchError */
  async blockByHash(asked: Position): Promise<FetchedBlock | undefined> {
    const block = await this.source.blockByHash(asked);
    if (block && !(block.hash.equals(asked.hash) && block.header.number === asked.number)) {
      const given = `${block.header.number} (0x${block.hash.toString('hex')})`;
      throw new MismatchError(asked.number, asked.hash, `it was asked for, and the node gave block ${given}.`);
    }
    return block;
  }

  /** @throws MismatchError */
  async blocksByNumber(from: bigint, to: bigint): Promise<FetchedBlock[]> {
    const blocks = await this.source.blocksByNumber(from, to);
    for (const [index, { header, hash }] of blocks.entries()) {
      const asked = from + BigInt(index);
      if (header.number === asked && asked <= to) continue;
      // What comes before it is what was asked for; the rest is asked for again.
      if (index > 0) return blocks.slice(0, index);
      throw new MismatchError(asked, hash, `it was asked for, and the node gave a block with number ${header.number}.`);
    }
    const transactions = blocks.reduce((sum, block) => sum + block.transactions.length, 0);
    return transactions < BULK_TRANSACTIONS ? blocks : blocks.map((block) => ({ ...block, bulk: true }));
  }

  stateProof(account: Buffer, slots: readonly Buffer[], number: bigint): Promise<StateProof> {
    return this.source.stateProof(account, slots, number);
  }

  watch(onHead: (head: Head) => void, onGap: () => void): Promise<Watch> {
    return this.source.watch(onHead, onGap);
  }
}
