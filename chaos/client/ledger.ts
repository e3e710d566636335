import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { readKeystore } from '../../libs/chain-client/src/keys/keystore.js';
import { addressOf } from '../../libs/chain-client/src/keys/secp256k1.js';
import { signLegacyTransaction } from '../../libs/chain-client/src/keys/transaction.js';
import { type ChainLog, ChainReader, type Receipt } from '../../libs/chain-client/src/rpc/reader.js';
import { connectRpc } from '../../libs/chain-client/src/rpc/transport.js';
import { decodeEvent, type LedgerEvent } from '../../libs/contracts/src/event.codec.js';
import { domainSeparator, encodeExecute, type Intent } from '../../libs/contracts/src/intent.codec.js';
import { transactionGas } from '../../libs/contracts/src/operations.js';
import { type NetworkConfig, networkOf, readNetworks } from '../../libs/platform/src/networks.js';

const PAGE = 500n;

/** A hospital's ledger as its node tells it: nothing of the gateway and the indexer is used. */
export interface Ledger {
  network: NetworkConfig;
  reader: ChainReader;
  /** EIP-712 domain of the contract. */
  domain: Buffer;
  /** Every log of the contract, in order. */
  logs(): Promise<ChainLog[]>;
  /** Carries intents to the contract under a key that must be a relayer's. @throws RpcError what the node says */
  carry(key: Buffer, intents: Intent[]): Promise<{ receipt: Receipt; events: LedgerEvent[] }>;
  close(): Promise<void>;
}

export function ledgerOf(hospital: { networksFile: string }, tier: 'local' | 'global'): Ledger {
  const network = networkOf(readNetworks(hospital.networksFile), tier);
  const rpc = connectRpc(network.rpc, { timeoutMs: 30_000 });
  const reader = new ChainReader(rpc);
  const { chainId, contract } = network;
  return {
    network,
    reader,
    domain: domainSeparator(chainId, contract),
    async logs() {
      const tip = await reader.blockNumber();
      const all: ChainLog[] = [];
      for (let from = network.startBlock; from <= tip; from += PAGE) {
        const to = from + PAGE - 1n < tip ? from + PAGE - 1n : tip;
        all.push(...(await reader.logs(contract, from, to)));
      }
      return all;
    },
    async carry(key, intents) {
      const nonce = await reader.transactionCount(addressOf(key), 'pending');
      const { raw, hash } = signLegacyTransaction(
        {
          ...{ chainId, nonce, gasPrice: 0n, gasLimit: BigInt(transactionGas(intents)) },
          ...{ to: contract, data: encodeExecute(intents) },
        },
        key,
      );
      const [outcome] = await reader.sendRaw([raw]);
      if (outcome?.error) throw outcome.error;
      for (const deadline = Date.now() + 30_000; Date.now() < deadline; ) {
        const receipt = await reader.receipt(hash).catch(() => undefined);
        if (receipt) return { receipt, events: receipt.logs.flatMap((log) => decodeEvent(log) ?? []) };
        await new Promise((wake) => setTimeout(wake, 50));
      }
      throw new Error('the transaction was not mined in 30 s');
    },
    close: () => rpc.close(),
  };
}

/** The key by which the hospital's gateway carries acts to a network. */
export function relayerKey(hospital: { layout: { keys: string } }, tier: 'local' | 'global'): Promise<Buffer> {
  const passphrase = readFileSync(join(hospital.layout.keys, 'passphrase'), 'utf8').trim();
  return readKeystore(join(hospital.layout.keys, `relayer-${tier}.json`), passphrase);
}
