import { RpcError } from '../../../../libs/chain-client/src/rpc/rpc.error.js';
import type { RpcHead, RpcTransport } from '../../../../libs/chain-client/src/rpc/transport.js';
import { toHex } from '../../../../libs/platform/src/bytes.js';
import type { ChainSource, FetchedBlock, Head, Position, StateProof, Watch } from './chain-source.js';
import { DatabaseSource } from './database-source.js';
import { RawSource } from './raw-source.js';
import {
  parseBlock,
  parseHead,
  parseStateProof,
  type RpcBlock,
  type RpcReceipt,
  type RpcStateProof,
} from './rpc-block.js';

const METHOD_NOT_FOUND = -32601;

/**
 * A node behind JSON-RPC. Blocks come as raw bytes where the node gives them (geth over IPC does), ranges of them from its database where that
 * may be read, else by the standard eth_* methods, with eth_getBlockReceipts where the node has it.
 */
export class RpcSource implements ChainSource {
  private readonly raw: RawSource;
  private readonly database: DatabaseSource;
  private hasRaw = false;
  private hasDatabase = false;
  private hasBlockReceipts = true;

  constructor(private readonly rpc: RpcTransport) {
    this.raw = new RawSource(rpc);
    this.database = new DatabaseSource(rpc);
  }

  /** Also finds out what the node can do: another one may answer at the same address after a lost connection. */
  async identity(): Promise<{ chainId: bigint; genesisHash: Buffer }> {
    this.hasRaw = await this.raw.available();
    this.hasBlockReceipts = true;
    const [chainId, genesis] = await this.rpc.batch<unknown>([
      { method: 'eth_chainId' },
      { method: 'eth_getBlockByNumber', params: ['0x0', false] },
    ]);
    const { hash: genesisHash } = parseHead(genesis as RpcHead);
    this.hasDatabase = this.hasRaw && (await this.database.available(genesisHash));
    return { chainId: BigInt(chainId as string), genesisHash };
  }

  async head(): Promise<Head> {
    return parseHead(await this.rpc.request<RpcHead>('eth_getBlockByNumber', ['latest', false]));
  }

  async hashAt(number: bigint): Promise<Buffer | undefined> {
    const block = await this.rpc.request<RpcHead | null>('eth_getBlockByNumber', [quantity(number), false]);
    return block === null ? undefined : parseHead(block).hash;
  }

  async blockByHash({ hash }: Position): Promise<FetchedBlock | undefined> {
    if (this.hasRaw) return this.raw.blockByHash(hash);
    const id = toHex(hash);
    const block = { method: 'eth_getBlockByHash', params: [id, true] };
    if (!this.hasBlockReceipts) {
      const answer = await this.rpc.request<RpcBlock | null>(block.method, block.params);
      return answer === null ? undefined : (await this.withReceipts([answer]))[0];
    }
    const [first, second] = await this.rpc.batchSettled<unknown>([
      block,
      { method: 'eth_getBlockReceipts', params: [id] },
    ]);
    if (first?.error) throw first.error;
    const answer = first?.value as RpcBlock | null;
    if (answer === null) return undefined;
    if (second?.error) {
      this.expectNoBlockReceipts(second.error);
      return (await this.withReceipts([answer]))[0];
    }
    return second?.value === null ? undefined : parseBlock(answer, second?.value as RpcReceipt[]);
  }

  async blocksByNumber(from: bigint, to: bigint): Promise<FetchedBlock[]> {
    const stored = this.hasDatabase ? await this.database.blocksByNumber(from, to) : undefined;
    if (stored !== undefined) return stored;
    if (this.hasRaw) return this.raw.blocksByNumber(from, to);
    const calls = [];
    for (let number = from; number <= to; number++) {
      calls.push({ method: 'eth_getBlockByNumber', params: [quantity(number), true] });
    }
    const answers = await this.rpc.batch<RpcBlock | null>(calls);
    const missing = answers.indexOf(null);
    return this.withReceipts((missing === -1 ? answers : answers.slice(0, missing)) as RpcBlock[]);
  }

  async stateProof(account: Buffer, slots: readonly Buffer[], number: bigint): Promise<StateProof> {
    const params = [toHex(account), slots.map(toHex), quantity(number)];
    return parseStateProof(await this.rpc.request<RpcStateProof | null>('eth_getProof', params));
  }

  async watch(onHead: (head: Head) => void, onGap: () => void): Promise<Watch> {
    return this.rpc.subscribe('newHeads', (head) => onHead(parseHead(head)), onGap);
  }

  /** Asks by block hash, so that receipts of another block of the same number can't be taken. Ends before a block the node lost meanwhile. */
  private async withReceipts(blocks: readonly RpcBlock[]): Promise<FetchedBlock[]> {
    const receipts = await this.receiptsOf(blocks.filter((block) => block.transactions.length > 0));
    const fetched: FetchedBlock[] = [];
    for (const block of blocks) {
      const own = block.transactions.length === 0 ? [] : receipts.get(block.hash);
      if (own === undefined) break;
      fetched.push(parseBlock(block, own));
    }
    return fetched;
  }

  private async receiptsOf(blocks: readonly RpcBlock[]): Promise<Map<string, RpcReceipt[]>> {
    if (blocks.length === 0) return new Map();
    if (this.hasBlockReceipts) {
      const calls = blocks.map(({ hash }) => ({ method: 'eth_getBlockReceipts', params: [hash] }));
      const outcomes = await this.rpc.batchSettled<RpcReceipt[] | null>(calls);
      const failure = outcomes.find(({ error }) => error !== undefined)?.error;
      if (failure === undefined) {
        return new Map(blocks.flatMap(({ hash }, i) => (outcomes[i]?.value ? [[hash, outcomes[i].value]] : [])));
      }
      this.expectNoBlockReceipts(failure);
    }
    const calls = blocks.flatMap(({ transactions }) =>
      transactions.map(({ hash }) => ({ method: 'eth_getTransactionReceipt', params: [hash] })),
    );
    const answers = await this.rpc.batch<RpcReceipt | null>(calls);
    let next = 0;
    const receipts = new Map<string, RpcReceipt[]>();
    for (const { hash, transactions } of blocks) {
      const own = answers.slice(next, next + transactions.length);
      next += transactions.length;
      // A transaction's receipt may be that of another block by now.
      if (own.every((receipt) => receipt?.blockHash === hash)) receipts.set(hash, own as RpcReceipt[]);
    }
    return receipts;
  }

  /** geth before 1.13 lacks eth_getBlockReceipts. @throws RpcError when the failure is another one */
  private expectNoBlockReceipts(error: RpcError): void {
    if (error.code !== METHOD_NOT_FOUND) throw error;
    this.hasBlockReceipts = false;
  }
}

function quantity(number: bigint): string {
  return `0x${number.toString(16)}`;
}
