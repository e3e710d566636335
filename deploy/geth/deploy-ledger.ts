import { Transaction, Wallet } from 'ethers';
import { newKey } from '../../libs/chain-client/src/keys/secp256k1.js';
import { deploymentData, type HospitalEntry } from '../../libs/contracts/src/deployment.js';
import { toHex } from '../../libs/platform/src/bytes.js';
import { ipcCall } from './ipc.js';

export interface Deployment {
  contract: string;
  startBlock: bigint;
  transactionHash: string;
}

/** Gas for the deployment: the contract is near the 24,576-byte limit (200 gas a byte), and its constructor writes the hospitals. */
export const DEPLOYMENT_GAS = 30_000_000;

/**
 * Deploys EmrLedger to the network behind `ipcPath`, at gas price 0, so the deployer needs no funds.
 * @param deployerKey 32-byte key. Default: one made for this and forgotten; the contract gives its deployer no right, and a
 *   relayer's first nonce would otherwise be used by bytes its hospital's gateway doesn't know.
 * @param threshold votes a governed change takes
 * @throws Error when the transaction isn't mined in `timeoutMs` or fails
 */
export async function deployLedger(options: {
  ipcPath: string;
  chainId: number;
  deployerKey?: Buffer;
  hospitals: HospitalEntry[];
  threshold: number;
  timeoutMs?: number;
}): Promise<Deployment> {
  const { ipcPath } = options;
  const wallet = new Wallet(toHex(options.deployerKey ?? newKey()));
  const nonce = await ipcCall<string>(ipcPath, 'eth_getTransactionCount', [wallet.address, 'latest']);
  const transaction = Transaction.from({
    type: 0,
    chainId: options.chainId,
    nonce: Number(nonce),
    gasPrice: 0,
    gasLimit: DEPLOYMENT_GAS,
    data: toHex(deploymentData(options.hospitals, options.threshold)),
  });
  transaction.signature = wallet.signingKey.sign(transaction.unsignedHash);
  const hash = await ipcCall<string>(ipcPath, 'eth_sendRawTransaction', [transaction.serialized]);
  const receipt = await minedReceipt(ipcPath, hash, options.timeoutMs ?? 60_000);
  if (receipt.status !== '0x1') throw new Error(`the deployment of EmrLedger failed in transaction ${hash}`);
  return {
    contract: receipt.contractAddress.toLowerCase(),
    startBlock: BigInt(receipt.blockNumber),
    transactionHash: hash,
  };
}

interface Receipt {
  status: string;
  blockNumber: string;
  contractAddress: string;
}

async function minedReceipt(ipcPath: string, hash: string, timeoutMs: number): Promise<Receipt> {
  for (const deadline = Date.now() + timeoutMs; Date.now() < deadline; ) {
    // A fresh node answers "transaction indexing is in progress": not an answer yet either.
    const receipt = await ipcCall<Receipt | null>(ipcPath, 'eth_getTransactionReceipt', [hash]).catch(() => null);
    if (receipt) return receipt;
    await new Promise((wake) => setTimeout(wake, 25));
  }
  throw new Error(`transaction ${hash} was not mined in ${timeoutMs / 1000} s`);
}
