import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { readKeystore } from '../libs/chain-client/src/keys/keystore.js';
import { addressOf, signDigest } from '../libs/chain-client/src/keys/secp256k1.js';
import { signLegacyTransaction } from '../libs/chain-client/src/keys/transaction.js';
import { ChainReader } from '../libs/chain-client/src/rpc/reader.js';
import { connectRpc, type RpcTransport } from '../libs/chain-client/src/rpc/transport.js';
import { domainSeparator, encodeExecute, intentDigest } from '../libs/contracts/src/intent.codec.js';
import { Operation, Purpose, transactionGas } from '../libs/contracts/src/operations.js';
import { parameters } from '../libs/contracts/src/parameters.js';
import { fromHex, toHex } from '../libs/platform/src/bytes.js';
import { type NetworkConfig, networkOf, readNetworks } from '../libs/platform/src/networks.js';
import type { Bench } from './hospital.js';

/** Transactions in one JSON-RPC batch, and how many may be on their way at once (below geth's pool limits). */
const RPC_BATCH = 100;
const IN_FLIGHT = 2_000;
const PATIENCE_MS = 120_000;

/**
 * Pre-signed transactions of one query each, sent by the hospital's own relayer. The gateway and the indexer must have been
 * stopped: the relayer's nonces are used here.
 */
class RawSender {
  private constructor(
    readonly rpc: RpcTransport,
    readonly relayer: Buffer,
    private readonly network: NetworkConfig,
    private readonly relayerKey: Buffer,
    private readonly bench: Bench,
    private nonce: bigint,
  ) {}

  static async open(bench: Bench): Promise<RawSender> {
    const { hospital } = bench;
    await Promise.all([hospital.gateway, ...bench.replicas.map(({ gateway }) => gateway)].map((one) => one.stop()));
    await hospital.indexer.stop();
    const network = networkOf(readNetworks(hospital.networksFile), 'local');
    const passphrase = readFileSync(join(hospital.layout.keys, 'passphrase'), 'utf8').trim();
    const key = await readKeystore(join(hospital.layout.keys, 'relayer-local.json'), passphrase);
    const rpc = connectRpc(network.rpc, { timeoutMs: 60_000 });
    const relayer = addressOf(key);
    const nonce = BigInt(await rpc.request<string>('eth_getTransactionCount', [toHex(relayer), 'pending']));
    return new RawSender(rpc, relayer, network, key, bench, nonce);
  }

  sign(): { raw: string; hash: string } {
    const { network, bench } = this;
    const record = bench.records[Number(this.nonce % BigInt(bench.records.length))]!;
    const intent = {
      operation: Operation.QUERY,
      requestId: randomBytes(32),
      recordId: fromHex(record.recordId, 32),
      parameters: parameters.query({ version: 1, purpose: Purpose.TREAT, ttl: 900, basis: Buffer.alloc(32) }),
      actor: addressOf(bench.rawKey),
      deadline: Math.floor(Date.now() / 1000) + 86_400,
      authContext: randomBytes(32),
    };
    const digest = intentDigest(domainSeparator(network.chainId, network.contract), intent);
    const signed = { ...intent, signature: signDigest(bench.rawKey, digest) };
    const { raw, hash } = signLegacyTransaction(
      {
        ...{ chainId: network.chainId, nonce: this.nonce, gasPrice: 0n, gasLimit: BigInt(transactionGas([signed])) },
        ...{ to: network.contract, data: encodeExecute([signed]) },
      },
      this.relayerKey,
    );
    this.nonce += 1n;
    return { raw: toHex(raw), hash: toHex(hash) };
  }

  async mined(): Promise<bigint> {
    return BigInt(await this.rpc.request<string>('eth_getTransactionCount', [toHex(this.relayer), 'latest']));
  }
}

/** Mined transactions a second when `count` single-act transactions are fired straight at the node. @throws Error when one of them failed */
export async function rawThroughput(bench: Bench, count: number): Promise<number> {
  const sender = await RawSender.open(bench);
  try {
    const first = await sender.mined();
    const reader = new ChainReader(sender.rpc);
    const firstBlock = await reader.blockNumber();
    const transactions = Array.from({ length: count }, () => sender.sign());
    const target = first + BigInt(count);
    const deadline = Date.now() + PATIENCE_MS;
    const began = performance.now();
    let sent = 0;
    let mined = first;
    while (mined < target) {
      if (Date.now() > deadline)
        throw new Error(`the node mined ${mined - first} of ${count} in ${PATIENCE_MS / 1000} s`);
      if (sent < count && sent - Number(mined - first) < IN_FLIGHT) {
        const batch = transactions.slice(sent, sent + RPC_BATCH);
        await sender.rpc.batch(batch.map(({ raw }) => ({ method: 'eth_sendRawTransaction', params: [raw] })));
        sent += batch.length;
      } else {
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
      mined = await sender.mined();
    }
    const seconds = (performance.now() - began) / 1000;
    await assertAllSucceeded(reader, firstBlock + 1n, count);
    return Math.round(count / seconds);
  } finally {
    await sender.rpc.close();
  }
}

async function assertAllSucceeded(reader: ChainReader, from: bigint, count: number): Promise<void> {
  const to = await reader.blockNumber();
  let logs = 0;
  let receipts = 0;
  for (let at = from; at <= to; at += 200n) {
    const numbers = Array.from({ length: Number((to - at < 199n ? to - at : 199n) + 1n) }, (_, i) => at + BigInt(i));
    for (const receipt of (await reader.receiptsOf(numbers)).flat()) {
      if (receipt.status !== 1) throw new Error('a raw transaction failed');
      receipts += 1;
      logs += receipt.logs.length;
    }
  }
  // Each act: its event and the Head.
  if (receipts !== count || logs !== 2 * count) {
    throw new Error(`${receipts} receipts with ${logs} logs where ${count} with ${2 * count} were due`);
  }
}

/** The node's own milliseconds from sending one transaction until its receipt can be had, one after the other. */
export async function nodeLatencies(bench: Bench, count: number): Promise<number[]> {
  const sender = await RawSender.open(bench);
  try {
    const times: number[] = [];
    for (let index = 0; index < count; index += 1) {
      const { raw, hash } = sender.sign();
      const began = performance.now();
      await sender.rpc.request('eth_sendRawTransaction', [raw]);
      while ((await sender.rpc.request('eth_getTransactionReceipt', [hash])) === null) {
        if (performance.now() - began > 10_000) throw new Error('no receipt after 10 s');
      }
      times.push(performance.now() - began);
    }
    return times;
  } finally {
    await sender.rpc.close();
  }
}
