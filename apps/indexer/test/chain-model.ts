import { RpcError } from '../../../libs/chain-client/src/rpc/rpc.error.js';
import { headerHash } from '../../../libs/proof/src/header.js';
import { receiptsRoot } from '../../../libs/proof/src/receipts-trie.js';
import { encodeTransaction, transactionHash, transactionsRoot } from '../../../libs/proof/src/transactions-trie.js';
import type {
  ChainSource,
  FetchedBlock,
  FetchedLog,
  FetchedReceipt,
  FetchedTransaction,
  Head,
  Position,
  StateProof,
  Watch,
} from '../src/follow/chain-source.js';
import { LedgerModel, type Random } from './ledger-model.js';

/** A block of the model, and the ledger after it. */
export interface ModelBlock {
  fetched: FetchedBlock;
  ledger: LedgerModel;
  parent: ModelBlock | undefined;
}

const NO_OMMERS = Buffer.from('1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347', 'hex');

/** A block whose hash commits to just these transactions' logs, as a real node's would. */
export function makeBlock(
  parent: ModelBlock | undefined,
  ledger: LedgerModel,
  transactionLogs: readonly FetchedLog[][],
  random: Random,
): ModelBlock {
  const number = parent ? parent.fetched.header.number + 1n : 0n;
  const transactions: FetchedTransaction[] = [];
  const receipts: FetchedReceipt[] = [];
  for (const [index, logs] of transactionLogs.entries()) {
    const transaction = {
      type: 0,
      chainId: 7n,
      nonce: number * 1_000n + BigInt(index),
      gasPrice: 0n,
      maxPriorityFeePerGas: 0n,
      maxFeePerGas: 0n,
      gasLimit: 1_000_000n,
      to: ledger.contract,
      value: 0n,
      input: random.bytes(8),
      accessList: [],
      v: 37n,
      r: 1n + BigInt(random.int(1_000_000)),
      s: 1n,
    };
    const hash = transactionHash(encodeTransaction(transaction));
    transactions.push({ ...transaction, hash, from: Buffer.alloc(20, 1) });
    receipts.push({
      transactionHash: hash,
      type: 0,
      status: logs.length > 0 ? 1 : 0,
      cumulativeGasUsed: 50_000n * BigInt(index + 1),
      logsBloom: Buffer.alloc(256),
      logs,
    });
  }
  const header = {
    parentHash: parent?.fetched.hash ?? Buffer.alloc(32),
    ommersHash: NO_OMMERS,
    beneficiary: Buffer.alloc(20),
    stateRoot: random.bytes(32),
    transactionsRoot: transactionsRoot(transactions.map(encodeTransaction)),
    receiptsRoot: receiptsRoot(receipts),
    logsBloom: Buffer.alloc(256),
    difficulty: 2n,
    number,
    gasLimit: 60_000_000n,
    gasUsed: receipts.at(-1)?.cumulativeGasUsed ?? 0n,
    timestamp: 1_700_000_000n + number,
    extraData: Buffer.alloc(97),
    mixHash: Buffer.alloc(32),
    nonce: Buffer.alloc(8),
  };
  return { fetched: { hash: headerHash(header), header, transactions, receipts }, ledger, parent };
}

/** A block on `parent` with random acts: often none, sometimes several transactions, now and then a reverted one. */
export function randomBlock(parent: ModelBlock, random: Random, emptyPercent = 25): ModelBlock {
  if (random.chance(emptyPercent)) return makeBlock(parent, parent.ledger, [], random);
  const ledger = parent.ledger.fork();
  const logs: FetchedLog[][] = [];
  for (let count = random.chance(5) ? 0 : 1 + random.int(3); count > 0; count--) {
    logs.push(random.chance(5) ? [] : ledger.execute(random, 1 + random.int(4)));
  }
  return makeBlock(parent, ledger, logs, random);
}

export function genesisOf(contract: Buffer, random: Random): ModelBlock {
  return makeBlock(undefined, LedgerModel.empty(contract), [], random);
}

/** From genesis to `block`. */
export function pathTo(block: ModelBlock): ModelBlock[] {
  const path: ModelBlock[] = [];
  for (let at: ModelBlock | undefined = block; at; at = at.parent) path.push(at);
  return path.reverse();
}

/**
 * A node that serves the model's chain: answers arrive in their own time while the head moves; some announcements are lost, some ranges end
 * early, some blocks are not to be had just now.
 */
export class ModelSource implements ChainSource {
  private readonly known = new Map<string, ModelBlock>();
  private canonical: ModelBlock[];
  private readonly watchers = new Set<(head: Head) => void>();
  /** Announces nothing. */
  deaf = false;
  /** Refuses every call, as a node does that restarts. */
  failing = false;
  /** What the node tells instead of the truth. */
  lie: (block: FetchedBlock) => FetchedBlock = (block) => block;

  constructor(
    readonly genesis: ModelBlock,
    private readonly random: Random,
  ) {
    this.canonical = [genesis];
    this.known.set(keyOf(genesis), genesis);
  }

  get tip(): ModelBlock {
    return this.canonical.at(-1) as ModelBlock;
  }

  setHead(block: ModelBlock): void {
    this.canonical = pathTo(block);
    for (const each of this.canonical) this.known.set(keyOf(each), each);
    if (!this.deaf && this.random.chance(85)) for (const tell of this.watchers) tell(headOf(block));
  }

  async identity(): Promise<{ chainId: bigint; genesisHash: Buffer }> {
    return { chainId: 7n, genesisHash: this.genesis.fetched.hash };
  }

  async head(): Promise<Head> {
    await this.latency();
    return headOf(this.tip);
  }

  async hashAt(number: bigint): Promise<Buffer | undefined> {
    await this.latency();
    return this.canonical[Number(number)]?.fetched.hash;
  }

  async blockByHash({ hash }: Position): Promise<FetchedBlock | undefined> {
    await this.latency();
    const block = this.known.get(hash.toString('hex'));
    return block && this.random.chance(95) ? this.lie(block.fetched) : undefined;
  }

  async blocksByNumber(from: bigint, to: bigint): Promise<FetchedBlock[]> {
    const blocks: FetchedBlock[] = [];
    for (let number = from; number <= to; number++) {
      // Between two blocks of a range the chain may move.
      if (this.random.chance(20)) await this.latency();
      if (number > from && this.random.chance(1)) break;
      const block = this.canonical[Number(number)];
      if (!block) break;
      blocks.push(this.lie(block.fetched));
    }
    return blocks;
  }

  async stateProof(): Promise<StateProof> {
    throw new RpcError('The model has no state.', { code: -32601, retryable: false });
  }

  async watch(onHead: (head: Head) => void): Promise<Watch> {
    this.watchers.add(onHead);
    return {
      close: async () => {
        this.watchers.delete(onHead);
      },
    };
  }

  private async latency(): Promise<void> {
    if (this.failing) throw new RpcError('The model is restarting.', { code: 'CONNECTION', retryable: true });
    for (let turns = this.random.int(4); turns > 0; turns--) await new Promise((resolve) => setImmediate(resolve));
  }
}

function headOf({ fetched }: ModelBlock): Head {
  return { number: fetched.header.number, hash: fetched.hash, parentHash: fetched.header.parentHash as Buffer };
}

function keyOf(block: ModelBlock): string {
  return block.fetched.hash.toString('hex');
}
