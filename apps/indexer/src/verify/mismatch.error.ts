/** The chain, or what the node says of it, contradicts itself. Nothing of the block is stored; the network stops and a person looks. */
export class MismatchError extends Error {
  override readonly name = 'MismatchError';

  constructor(
    readonly blockNumber: bigint,
    readonly blockHash: Buffer,
    detail: string,
  ) {
    super(`Block ${blockNumber} (0x${blockHash.toString('hex')}): ${detail}`);
  }
}
