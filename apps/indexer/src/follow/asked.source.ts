import { MismatchError } from '../verify/mismatch.error.js';
import type { ChainSource, FetchedBlock, Head, Position, Watch } from './chain-source.js';

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
      throw new MismatchError(asked, hash, `it was asked for, and the node gave a block with number ${header.number}.`);
    }
    return blocks;
  }

  watch(onHead: (head: Head) => void, onGap: () => void): Promise<Watch> {
    return this.source.watch(onHead, onGap);
  }
}
