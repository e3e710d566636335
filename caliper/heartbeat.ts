import { addressOf, newKey } from '../libs/chain-client/src/keys/secp256k1.js';
import { signLegacyTransaction } from '../libs/chain-client/src/keys/transaction.js';
import { ChainReader } from '../libs/chain-client/src/rpc/reader.js';
import { connectRpc } from '../libs/chain-client/src/rpc/transport.js';
import type { Cell } from './matrix.js';

const EVERY_MS = 1_000;
const GAS = 21_000n;

/**
 * Whether a network stands still unless somebody else uses it too. Where several seal a block on arrival only, a transaction that fell
 * out of a block by a fork lies in the pool until the next one comes, and nothing becomes final without blocks after it.
 */
export const needsHeartbeat = ({ consensus, miners }: Cell): boolean => consensus === 'clique-0' && miners > 1;

/** Stands for the others' traffic: a transaction a second that does nothing, from an account of its own. */
export function startHeartbeat(ipcPath: string, chainId: number): { stop(): Promise<void> } {
  const key = newKey();
  const to = addressOf(key);
  const rpc = connectRpc(ipcPath, { timeoutMs: 10_000 });
  const reader = new ChainReader(rpc);
  let beating = Promise.resolve();
  const beat = async () => {
    const nonce = await reader.transactionCount(to, 'pending');
    const fields = { chainId: BigInt(chainId), nonce, gasPrice: 0n, gasLimit: GAS, to, data: Buffer.alloc(0) };
    await reader.sendRaw([signLegacyTransaction(fields, key).raw]);
  };
  const timer = setInterval(() => {
    beating = beating.then(beat).catch(() => {}); // the next one tries again
  }, EVERY_MS);
  return {
    async stop() {
      clearInterval(timer);
      await beating;
      await rpc.close();
    },
  };
}
