import type { RpcBlock, RpcReceipt, RpcTransaction } from '../src/follow/rpc-block.js';

export interface Told {
  block: RpcBlock;
  receipts: RpcReceipt[];
}

/** One way for a node to tell a block wrongly. It is given copies, and changes them. */
export interface Lie {
  name: string;
  /** @param other the block before, as it is */
  apply(told: Told, other: Told): void;
}

type Log = RpcReceipt['logs'][number];

/** Another value of the same shape. */
function flip(hex: string): string {
  const last = hex.at(-1) as string;
  if (hex === '0x') return '0x01';
  return hex.slice(0, -1) + (last === '1' ? '2' : '1');
}

const headerFields = [
  'parentHash',
  'sha3Uncles',
  'miner',
  'stateRoot',
  'transactionsRoot',
  'receiptsRoot',
  'logsBloom',
  'difficulty',
  'number',
  'gasLimit',
  'gasUsed',
  'timestamp',
  'extraData',
  'mixHash',
  'nonce',
  'hash',
] as const satisfies (keyof RpcBlock)[];

const transactionFields = [
  'hash',
  'from',
  'type',
  'nonce',
  'gasPrice',
  'gas',
  'to',
  'value',
  'input',
  'v',
  'r',
  's',
] as const satisfies (keyof RpcTransaction)[];

const receiptFields = [
  'transactionHash',
  'type',
  'status',
  'cumulativeGasUsed',
  'logsBloom',
] as const satisfies (keyof RpcReceipt)[];

const lie = (name: string, apply: Lie['apply']): Lie => ({ name, apply });
const logLie = (name: string, change: (logs: Log[], other: Told) => void): Lie =>
  lie(name, ({ receipts }, other) => change((receipts[0] as RpcReceipt).logs, other));
const swap = <T>(items: T[], a: number, b: number) => {
  [items[a], items[b]] = [items[b] as T, items[a] as T];
};
const insert = <T>(items: T[], at: number, item: T | undefined) => void items.splice(at, 0, item as T);

/** What the block lies need of the block they are told of: three transactions, the first two with at least three logs, the third with none. */
export const lies: Lie[] = [
  ...headerFields.map((field) =>
    lie(`alters the header's ${field}`, ({ block }) => {
      block[field] = flip(block[field]);
    }),
  ),
  lie('adds a base fee to the header', ({ block }) => {
    block.baseFeePerGas = '0x7';
  }),
  ...transactionFields.map((field) =>
    lie(`alters a transaction's ${field}`, ({ block }) => {
      const transaction = block.transactions[1] as RpcTransaction;
      transaction[field] = flip(transaction[field] ?? '0x0');
    }),
  ),
  lie('gives a transaction to itself another sender', ({ block }) => {
    (block.transactions[2] as RpcTransaction).from = `0x${'5a'.repeat(20)}`;
  }),
  lie('has a transaction send to its sender', ({ block }) => {
    const transaction = block.transactions[1] as RpcTransaction;
    transaction.to = transaction.from;
  }),
  lie('drops a transaction and its receipt', ({ block, receipts }) => {
    block.transactions.pop();
    receipts.pop();
  }),
  lie('drops all transactions', ({ block, receipts }) => {
    block.transactions.length = 0;
    receipts.length = 0;
  }),
  lie('swaps two transactions', ({ block }) => swap(block.transactions, 0, 1)),
  lie('swaps two transactions with their receipts', ({ block, receipts }) => {
    swap(block.transactions, 0, 1);
    swap(receipts, 0, 1);
  }),
  lie('tells a transaction twice', ({ block, receipts }) => {
    insert(block.transactions, 1, block.transactions[0]);
    insert(receipts, 1, receipts[0]);
  }),
  lie('invents a transaction of another block', ({ block, receipts }, other) => {
    insert(block.transactions, 3, other.block.transactions[0]);
    insert(receipts, 3, other.receipts[0]);
  }),
  ...receiptFields.map((field) =>
    lie(`alters a receipt's ${field}`, ({ receipts }) => {
      const receipt = receipts[1] as RpcReceipt;
      receipt[field] = flip(receipt[field] ?? '0x0');
    }),
  ),
  lie('drops a receipt', ({ receipts }) => void receipts.shift()),
  lie('drops all receipts', ({ receipts }) => {
    receipts.length = 0;
  }),
  lie('swaps two receipts', ({ receipts }) => swap(receipts, 0, 1)),
  lie('tells a receipt twice', ({ receipts }) => insert(receipts, 1, receipts[0])),
  lie('gives the receipts of another block', ({ receipts }, other) => {
    receipts.splice(0, receipts.length, ...other.receipts);
  }),
  lie('gives the receipts of another block under the hashes of this one', ({ block, receipts }, other) => {
    const borrowed = other.receipts.map((receipt, index) => {
      const { hash } = block.transactions[index] as RpcTransaction;
      return { ...receipt, blockHash: block.hash, transactionHash: hash };
    });
    receipts.splice(0, receipts.length, ...borrowed);
  }),
  logLie('drops a log', (logs) => void logs.shift()),
  logLie('drops all logs of a transaction', (logs) => {
    logs.length = 0;
  }),
  logLie('tells a log twice', (logs) => insert(logs, 1, logs[0])),
  logLie('swaps two logs', (logs) => swap(logs, 0, 1)),
  logLie('invents a log', (logs) => insert(logs, 1, { ...(logs[0] as Log), data: flip((logs[0] as Log).data) })),
  lie('invents a log where there was none', ({ receipts }) => {
    insert((receipts[2] as RpcReceipt).logs, 0, (receipts[0] as RpcReceipt).logs[0]);
  }),
  lie('moves a log to another transaction', ({ receipts }) => {
    insert((receipts[1] as RpcReceipt).logs, 0, (receipts[0] as RpcReceipt).logs.shift());
  }),
  logLie('moves a log of another block here', (logs, other) => {
    insert(logs, 0, (other.receipts[0] as RpcReceipt).logs[0]);
  }),
  ...[0, 1, 2, 3].map((index) =>
    logLie(`alters topic ${index} of a log`, (logs) => {
      const { topics } = logs[0] as Log;
      topics[index] = flip(topics[index] as string);
    }),
  ),
  logLie('drops a topic of a log', (logs) => void (logs[0] as Log).topics.pop()),
  logLie("alters a log's data", (logs) => {
    (logs[0] as Log).data = flip((logs[0] as Log).data);
  }),
  logLie("shortens a log's data", (logs) => {
    (logs[0] as Log).data = (logs[0] as Log).data.slice(0, -64);
  }),
  logLie('gives a log of the ledger to another contract', (logs) => {
    (logs[0] as Log).address = flip((logs[0] as Log).address);
  }),
];
