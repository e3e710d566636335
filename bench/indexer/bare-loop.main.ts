import { performance } from 'node:perf_hooks';
import pg from 'pg';
import { connectRpc, type RpcTransport } from '../../libs/chain-client/src/rpc/transport.js';
import { type CopyColumn, copyRows } from '../../libs/database/src/copy.js';

/**
 * What indexing costs at the least: eth_getLogs over a range, the headers of its blocks in one batch, COPY into a table with nothing
 * but its key. No check, no transaction but COPY's own, no cursor: killed, it leaves its rows double; a log left out is not noticed.
 * The next range is fetched while one is written. A program of its own, so that it begins as cold as the indexer does.
 * Arguments: RPC, contract, first block, last block, database URL. Prints one line of JSON.
 */
const [rpcUrl, contract, from, to, databaseUrl] = process.argv.slice(2) as [string, string, string, string, string];

// The largest of 50 to 1,000 that still made it faster.
const BLOCKS_PER_PAGE = 200;

interface RpcLog {
  blockNumber: string;
  blockHash: string;
  transactionHash: string;
  logIndex: string;
  topics: string[];
  data: string;
}

interface RpcHeader {
  number: string;
  hash: string;
  parentHash: string;
  timestamp: string;
}

const EVENT_COLUMNS: CopyColumn[] = [
  { name: 'block_number', property: 'blockNumber', type: 'int8' },
  { name: 'log_index', property: 'logIndex', type: 'int4' },
  { name: 'block_hash', property: 'blockHash', type: 'bytea' },
  { name: 'block_time', property: 'blockTime', type: 'int8' },
  { name: 'transaction_hash', property: 'transactionHash', type: 'bytea' },
  { name: 'topics', property: 'topics', type: 'bytea' },
  { name: 'data', property: 'data', type: 'bytea' },
];
const BLOCK_COLUMNS: CopyColumn[] = [
  { name: 'number', property: 'number', type: 'int8' },
  { name: 'hash', property: 'hash', type: 'bytea' },
  { name: 'parent_hash', property: 'parentHash', type: 'bytea' },
  { name: 'time', property: 'time', type: 'int8' },
];

const rpc = connectRpc(rpcUrl, { timeoutMs: 120_000 });
const client = new pg.Client({ connectionString: databaseUrl });
await client.connect();
await client.query(`
  CREATE TABLE bare_block (number bigint PRIMARY KEY, hash bytea, parent_hash bytea, time bigint);
  CREATE TABLE bare_event (block_number bigint, log_index integer, block_hash bytea, block_time bigint,
    transaction_hash bytea, topics bytea, data bytea, PRIMARY KEY (block_number, log_index));`);

const began = performance.now();
let logs = 0;
const last = Number(to);
let next = fetchPage(rpc, Number(from));
for (let start = Number(from); start <= last; start += BLOCKS_PER_PAGE) {
  const page = await next;
  const following = start + BLOCKS_PER_PAGE;
  if (following <= last) next = fetchPage(rpc, following);
  logs += page.logs.length;
  await write(page);
}
const seconds = (performance.now() - began) / 1000;
await Promise.all([rpc.close(), client.end()]);
const used = process.resourceUsage();
const cpuSeconds = (used.userCPUTime + used.systemCPUTime) / 1e6;
process.stdout.write(`${JSON.stringify({ seconds, logs, cpuSeconds, rssMb: Math.round(used.maxRSS / 1024) })}\n`);

async function fetchPage(node: RpcTransport, start: number): Promise<{ logs: RpcLog[]; headers: RpcHeader[] }> {
  const end = Math.min(start + BLOCKS_PER_PAGE - 1, last);
  const numbers = Array.from({ length: end - start + 1 }, (_, index) => hex(start + index));
  const [found, headers] = await Promise.all([
    node.request<RpcLog[]>('eth_getLogs', [{ address: contract, fromBlock: hex(start), toBlock: hex(end) }]),
    node.batch<RpcHeader>(numbers.map((number) => ({ method: 'eth_getBlockByNumber', params: [number, false] }))),
  ]);
  return { logs: found, headers };
}

async function write(page: { logs: RpcLog[]; headers: RpcHeader[] }): Promise<void> {
  const times = new Map(page.headers.map(({ hash, timestamp }) => [hash, BigInt(timestamp)]));
  const events = page.logs.map((log) => ({
    blockNumber: BigInt(log.blockNumber),
    logIndex: Number(log.logIndex),
    blockHash: bytes(log.blockHash),
    blockTime: times.get(log.blockHash) ?? 0n,
    transactionHash: bytes(log.transactionHash),
    topics: Buffer.from(log.topics.map((topic) => topic.slice(2)).join(''), 'hex'),
    data: bytes(log.data),
  }));
  const blocks = page.headers.map((header) => ({
    number: BigInt(header.number),
    hash: bytes(header.hash),
    parentHash: bytes(header.parentHash),
    time: BigInt(header.timestamp),
  }));
  await copyRows(client, 'bare_block', BLOCK_COLUMNS, blocks);
  await copyRows(client, 'bare_event', EVENT_COLUMNS, events);
}

function hex(number: number): string {
  return `0x${number.toString(16)}`;
}

function bytes(text: string): Buffer {
  return Buffer.from(text.slice(2), 'hex');
}
