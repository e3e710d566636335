import { getCreateAddress, Signature, Transaction, toBeHex } from 'ethers';
import { z } from 'zod';
import { deploymentData, type HospitalEntry } from '../../libs/contracts/src/deployment.js';
import { toHex } from '../../libs/platform/src/bytes.js';
import { keccak256 } from '../../libs/platform/src/keccak.js';
import { DEPLOYMENT_GAS } from './deploy-ledger.js';
import { ipcCall } from './ipc.js';

/** LEDGER_FILE: where a network's ledger is, or will be once `transaction` has been mined. 0x-hex */
export const foundingSchema = z.strictObject({
  contract: z.string().regex(/^0x[0-9a-f]{40}$/),
  transaction: z.string().regex(/^0x[0-9a-f]+$/),
});
export type Founding = z.output<typeof foundingSchema>;

/**
 * The transaction that founds a network's ledger, made of public facts alone: every founder computes the same one, checks by it what the
 * others computed, and may send it. Its signature is made up and its sender is whoever that happens to recover to, so nobody has
 * the sender's key, and the ledger's address can't be taken by anything else.
 * @param threshold votes that a governed change takes
 */
export function foundingOf(chainId: number, founders: readonly HospitalEntry[], threshold: number): Founding {
  const hospitals = [...founders].sort((a, b) => a.id - b.id);
  const data = toHex(deploymentData(hospitals, threshold));
  for (let count = 0; ; count++) {
    // Half of all numbers are no x-coordinate of a point: the next one is tried.
    const r = toHex(keccak256(Buffer.from(`EmrLedger ${count}`)));
    const signature = Signature.from({ r, s: toBeHex(1, 32), v: chainId * 2 + 35 });
    const transaction = Transaction.from({ type: 0, chainId, nonce: 0, gasPrice: 0, gasLimit: DEPLOYMENT_GAS, data });
    try {
      transaction.signature = signature;
      const from = transaction.from as string;
      return { contract: getCreateAddress({ from, nonce: 0 }).toLowerCase(), transaction: transaction.serialized };
    } catch {
      // recovers to nobody
    }
  }
}

/** Whether the ledger stands on the network behind `ipcPath`. @throws RpcError when the node can't be asked */
export async function isFounded(ipcPath: string, { contract }: Founding): Promise<boolean> {
  return (await ipcCall<string>(ipcPath, 'eth_getCode', [contract, 'latest'])) !== '0x';
}

const AGAIN_MS = 1_000;

/** Sends the founding transaction until the network has the ledger. Others may do the same: it is the same bytes. Never rejects. */
export async function found(ipcPath: string, founding: Founding, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    try {
      if (await isFounded(ipcPath, founding)) return;
      await ipcCall(ipcPath, 'eth_sendRawTransaction', [founding.transaction]);
    } catch {
      // Known already, or the node is away for a moment: the next look tells.
    }
    await new Promise((wake) => setTimeout(wake, AGAIN_MS).unref());
  }
}
