import type { RpcError } from '../../../../libs/chain-client/src/rpc/rpc.error.js';
import type { RpcCall, RpcHead, RpcTransport } from '../../../../libs/chain-client/src/rpc/transport.js';
import { toHex } from '../../../../libs/platform/src/bytes.js';
import type { FetchedBlock } from './chain-source.js';
import { joinRawBlock, parseRawBlock, type RawBlock } from './raw-block.js';
import { parseHead } from './rpc-block.js';

/** What a node answers where it doesn't know the block. geth says so by an error of this code, and by no receipts. */
const SERVER_ERROR = -32000;

/**
 * Blocks by geth's debug_getRawBlock and debug_getRawReceipts: the bytes that hashes commit to. The node then neither formats JSON nor
 * recovers each sender, which is most of its work otherwise (decision 024), and here nothing is encoded anew to be checked.
 */
export class RawSource {
  constructor(private readonly rpc: RpcTransport) {}

  /** Whether the node answers these methods: asked for genesis, which every node has. */
  async available(): Promise<boolean> {
    const outcomes = await this.rpc.batchSettled<unknown>([
      { method: 'debug_getRawBlock', params: ['0x0'] },
      { method: 'debug_getRawReceipts', params: ['0x0'] },
    ]);
    const lost = outcomes.find(({ error }) => error?.retryable)?.error;
    if (lost) throw lost;
    const [block, receipts] = outcomes.map(({ value }) => value);
    return typeof block === 'string' && Array.isArray(receipts);
  }

  async blockByHash(hash: Buffer): Promise<FetchedBlock | undefined> {
    const id = toHex(hash);
    const [block, receipts] = await this.rpc.batchSettled<unknown>([getRawBlock(id), getRawReceipts(id)]);
    const raw = known(block as Outcome<Buffer>);
    const own = known(receipts as Outcome<Buffer[]>);
    return raw === undefined || own === undefined ? undefined : joinRawBlock(parseRawBlock(raw), hash, own);
  }

  /** Ends before the first block that the node hasn't, and behind one that the next doesn't link to. */
  async blocksByNumber(from: bigint, to: bigint): Promise<FetchedBlock[]> {
    const blocks = linked(await this.rawBlocks(from, to));
    const last = blocks.at(-1);
    if (last === undefined) return [];
    // The number that was asked for: what the bytes say may be a lie.
    const lastNumber = from + BigInt(blocks.length - 1);
    // By hash, so that receipts of another block of the same number can't be taken. Bytes say nothing of themselves that could be wrong; so
    // the node also tells the last one's hash, and the rest follow from it by their children's parent hashes.
    const [head, ...receipts] = await this.rpc.batchSettled<unknown>([
      { method: 'eth_getBlockByNumber', params: [quantity(lastNumber), false] },
      ...blocks.map(({ hash }) => getRawReceipts(toHex(hash))),
    ]);
    const told = known(head as Outcome<RpcHead>);
    if (told === undefined) return [];
    const toldHash = parseHead(told).hash;
    // Another one is no lie when the chain moved between the two questions: then the block is that one now.
    const moved =
      !toldHash.equals(last.hash) && (await this.rawBlocks(lastNumber, lastNumber))[0]?.hash.equals(toldHash);
    const fetched: FetchedBlock[] = [];
    for (const [index, block] of blocks.slice(0, moved ? -1 : undefined).entries()) {
      const own = known(receipts[index] as Outcome<Buffer[]>);
      if (own === undefined) break;
      fetched.push(joinRawBlock(block, blocks[index + 1]?.parentHash ?? toldHash, own));
    }
    return fetched;
  }

  private async rawBlocks(from: bigint, to: bigint): Promise<RawBlock[]> {
    const calls = [];
    for (let number = from; number <= to; number++) calls.push(getRawBlock(quantity(number)));
    const blocks: RawBlock[] = [];
    for (const outcome of await this.rpc.batchSettled<Buffer>(calls)) {
      const encoded = known(outcome);
      if (encoded === undefined) break;
      blocks.push(parseRawBlock(encoded));
    }
    return blocks;
  }
}

/** @param id number or hash of the block, as hex */
function getRawBlock(id: string): RpcCall {
  return { method: 'debug_getRawBlock', params: [id], decode: (hex) => (hex === null ? null : bytesOf(hex)) };
}

/** @param id hash of the block, as hex */
function getRawReceipts(id: string): RpcCall {
  return {
    method: 'debug_getRawReceipts',
    params: [id],
    decode: (all) => (all === null ? null : Array.isArray(all) ? all.map(bytesOf) : [UNREADABLE]),
  };
}

const UNREADABLE = Buffer.alloc(0);

/** What hex says; where it is none, bytes that nothing can be read from. */
export function bytesOf(hex: unknown): Buffer {
  if (typeof hex !== 'string') return UNREADABLE;
  const bytes = Buffer.from(hex.slice(2), 'hex');
  return bytes.length * 2 + 2 === hex.length ? bytes : UNREADABLE;
}

/** The leading blocks that each the next one links to: behind them the chain moved while it was told, or one of them is another than it should be. */
function linked(blocks: RawBlock[]): RawBlock[] {
  const broken = blocks.findIndex(({ hash }, index) => blocks[index + 1]?.parentHash.equals(hash) === false);
  return broken === -1 ? blocks : blocks.slice(0, broken + 1);
}

function quantity(number: bigint): string {
  return `0x${number.toString(16)}`;
}

type Outcome<T> = { value?: T; error?: RpcError };

/** Undefined when the node doesn't know the block. @throws RpcError for every other failure */
function known<T>({ value, error }: Outcome<T>): T | undefined {
  if (error !== undefined && error.code !== SERVER_ERROR) throw error;
  return error !== undefined || value === null ? undefined : value;
}
