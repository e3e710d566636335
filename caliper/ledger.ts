import { randomBytes } from 'node:crypto';
import { deployLedger } from '../deploy/geth/deploy-ledger.js';
import type { RunningNetwork } from '../deploy/geth/network.js';
import { foundingEntry } from '../deploy/hospital-keys.js';
import type { HospitalLayout } from '../deploy/local/layout.js';
import { type PublicFacts, peerUrl } from '../deploy/local/provision.js';
import { addressOf, newKey, signDigest } from '../libs/chain-client/src/keys/secp256k1.js';
import { signLegacyTransaction } from '../libs/chain-client/src/keys/transaction.js';
import { ChainReader, type Receipt } from '../libs/chain-client/src/rpc/reader.js';
import { connectRpc } from '../libs/chain-client/src/rpc/transport.js';
import { decodeEvent } from '../libs/contracts/src/event.codec.js';
import { domainSeparator, encodeExecute, type Intent, intentDigest } from '../libs/contracts/src/intent.codec.js';
import { transactionGas } from '../libs/contracts/src/operations.js';
import { fromHex } from '../libs/platform/src/bytes.js';

export interface Founder {
  layout: HospitalLayout;
  facts: PublicFacts;
}

/** The ledger on a cell's network, and the key that carries acts to it beside the gateway's. */
export interface CellLedger {
  chainId: number;
  contract: Buffer;
  startBlock: bigint;
  /** 32 bytes; its address is a relayer of the first hospital */
  relayerKey: Buffer;
  /** a signed intent of whoever has `key`; `requestId` is random */
  sign(key: Buffer, act: Pick<Intent, 'operation' | 'recordId' | 'parameters'>): Intent;
  /** @throws Error unless every act had its effect */
  carry(intents: Intent[]): Promise<void>;
}

const BATCH = 100;
const DAY_SECONDS = 86_400;

/**
 * Deploys the ledger to the network, founded by these hospitals. The first has a second relayer, for acts that go straight to geth.
 * @param depth blocks, its own included, that make a transaction final
 * @param patienceMs how long that may take
 */
export async function foundLedger(
  network: RunningNetwork,
  founders: Founder[],
  { depth, patienceMs }: { depth: number; patienceMs: number },
): Promise<CellLedger> {
  const { chainId } = network.plan;
  const ipcPath = network.nodes[0]?.ipcPath ?? '';
  const relayerKey = newKey();
  const hospitals = founders.map(({ layout, facts }, index) => {
    const entry = foundingEntry({ id: layout.id, peerUrl: peerUrl(layout), keys: facts }, 'local');
    return index === 0 ? { ...entry, relayers: [...entry.relayers, addressOf(relayerKey)] } : entry;
  });
  const deployed = await deployLedger({
    ...{ ipcPath, chainId, hospitals, timeoutMs: patienceMs },
    threshold: Math.floor(founders.length / 2) + 1,
  });
  const contract = fromHex(deployed.contract, 20);
  const { blockNumber } = await withReader(ipcPath, (reader) =>
    finalReceipt(reader, fromHex(deployed.transactionHash, 32), depth, patienceMs),
  );
  const domain = domainSeparator(BigInt(chainId), contract);
  return {
    ...{ chainId, contract, relayerKey, startBlock: blockNumber },
    sign(key, act) {
      const unsigned = {
        ...{ ...act, actor: addressOf(key), requestId: randomBytes(32), authContext: randomBytes(32) },
        deadline: Math.floor(Date.now() / 1000) + DAY_SECONDS,
      };
      return { ...unsigned, signature: signDigest(key, intentDigest(domain, unsigned)) };
    },
    async carry(intents) {
      await withReader(ipcPath, async (reader) => {
        let nonce = await reader.transactionCount(addressOf(relayerKey), 'pending');
        const hashes: Buffer[] = [];
        for (let at = 0; at < intents.length; at += BATCH) {
          const batch = intents.slice(at, at + BATCH);
          const { raw, hash } = signLegacyTransaction(
            {
              ...{ chainId: BigInt(chainId), nonce, gasPrice: 0n, gasLimit: BigInt(transactionGas(batch)) },
              ...{ to: contract, data: encodeExecute(batch) },
            },
            relayerKey,
          );
          nonce += 1n;
          const [outcome] = await reader.sendRaw([raw]);
          if (outcome?.error) throw outcome.error;
          hashes.push(hash);
        }
        for (const hash of hashes) requireEffects(await finalReceipt(reader, hash, depth, patienceMs));
      });
    },
  };
}

async function withReader<T>(ipcPath: string, use: (reader: ChainReader) => Promise<T>): Promise<T> {
  const rpc = connectRpc(ipcPath, { timeoutMs: 30_000 });
  try {
    return await use(new ChainReader(rpc));
  } finally {
    await rpc.close();
  }
}

/** The receipt of a transaction once it is final: before that a fork may bring it behind others, or others behind it. */
async function finalReceipt(reader: ChainReader, hash: Buffer, depth: number, patienceMs: number): Promise<Receipt> {
  for (const deadline = Date.now() + patienceMs; Date.now() < deadline; ) {
    // A fresh node answers "transaction indexing is in progress": not an answer yet either.
    const receipt = await reader.receipt(hash).catch(() => undefined);
    if (receipt && (await reader.blockNumber()) - receipt.blockNumber + 1n >= BigInt(depth)) return receipt;
    await new Promise((wake) => setTimeout(wake, 50));
  }
  throw new Error(
    `a transaction was not final in ${patienceMs / 1000} s: the network stands still, see its nodes' logs`,
  );
}

function requireEffects({ status, logs }: Receipt): void {
  const types = logs.map((log) => decodeEvent(log)?.type);
  const refused = types.find((type) => ['AccessDenied', 'BadSignature', 'Duplicate', 'Mismatch'].includes(type ?? ''));
  // A call to where no contract is (yet) succeeds as well, without a trace.
  if (status !== 1 || refused || !types.includes('Head')) {
    throw new Error(`preparing the ledger failed: ${refused ?? (status === 1 ? 'no ledger is there' : 'reverted')}`);
  }
}
