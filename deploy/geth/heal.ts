import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { ipcCall } from './ipc.js';
import type { MirrorBlocks } from './mirror-blocks.js';

/** What a node lacks, compared with what its hospital's mirror has confirmed. */
export type Gap =
  | { kind: 'whole' }
  /** `rewind`: the node holds other blocks above `ancestor`, which it sealed after it lost the confirmed ones */
  | { kind: 'missing'; ancestor: bigint; to: bigint; rewind: boolean };

interface BlockId {
  number: string;
  hash: string;
}

const blockAt = (ipcPath: string, number: bigint) =>
  ipcCall<BlockId | null>(ipcPath, 'eth_getBlockByNumber', [`0x${number.toString(16)}`, false]);

export async function tipOf(ipcPath: string): Promise<{ number: bigint; hash: string }> {
  const block = await ipcCall<BlockId>(ipcPath, 'eth_getBlockByNumber', ['latest', false]);
  return { number: BigInt(block.number), hash: block.hash };
}

/**
 * Compares a node that isn't sealing with the mirror.
 * @param multiSigner other hospitals seal too: blocks that aren't final may have been replaced with right; final ones never
 */
export async function findGap(ipcPath: string, mirror: MirrorBlocks, multiSigner: boolean): Promise<Gap> {
  const cursor = await mirror.cursor();
  if (!cursor) return { kind: 'whole' };
  const tip = await tipOf(ipcPath);
  const confirmed = multiSigner ? cursor.finalNumber : cursor.number;
  const lowest = await mirror.lowest();
  if (lowest === undefined || confirmed < lowest) return { kind: 'whole' };

  const agrees = async (number: bigint) => (await blockAt(ipcPath, number))?.hash === (await mirror.hashAt(number));
  if (tip.number >= confirmed && (await agrees(confirmed))) return { kind: 'whole' };

  if (tip.number < lowest) return { kind: 'missing', ancestor: tip.number, to: cursor.number, rewind: false };
  // Highest height both have the same block at: agreement up to it, none above.
  let low = lowest - 1n;
  let high = tip.number;
  if (high > confirmed) high = confirmed;
  while (low < high) {
    const middle = (low + high + 1n) / 2n;
    if (await agrees(middle)) low = middle;
    else high = middle - 1n;
  }
  return { kind: 'missing', ancestor: low, to: cursor.number, rewind: tip.number > low };
}

/**
 * Writes the missing blocks to a file and makes room for them. The caller then stops the node and imports the file.
 * @returns the file; undefined when the mirror doesn't hold the blocks raw, so that only peers can give them
 */
export async function prepareImport(
  ipcPath: string,
  mirror: MirrorBlocks,
  gap: Extract<Gap, { kind: 'missing' }>,
  dir: string,
): Promise<string | undefined> {
  const file = join(dir, 'missing-blocks.rlp');
  if (!(await mirror.writeRaw(gap.ancestor + 1n, gap.to, file))) {
    await rm(file, { force: true });
    return undefined;
  }
  // Its own later blocks could outweigh the confirmed ones; their transactions are sent again from the gateway's store.
  if (gap.rewind) await ipcCall(ipcPath, 'debug_setHead', [`0x${gap.ancestor.toString(16)}`]);
  return file;
}
