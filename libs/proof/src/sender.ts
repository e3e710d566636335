import secp256k1 from 'secp256k1';
import { keccak256 } from '../../platform/src/keccak.js';
import { encodeRlp, integer, type RlpItem } from './rlp.js';
import type { Transaction } from './transactions-trie.js';

/**
 * The account that signed a transaction, 20 bytes: no root and no hash commits to it, the signature alone does.
 * Sources: EIP-155 (v of legacy transactions), EIP-2930, EIP-1559; Yellow Paper, appendix F.
 * @throws RangeError for a type that is none of 0, 1, 2; Error when the signature is nobody's
 */
export function recoverSender(transaction: Transaction): Buffer {
  const signature = Buffer.alloc(64);
  writeWord(signature, 0, transaction.r);
  writeWord(signature, 32, transaction.s);
  const parity = transaction.type === 0 ? legacyParity(transaction.v) : Number(transaction.v);
  const key = secp256k1.ecdsaRecover(signature, parity, signingHash(transaction), false);
  return keccak256(key.subarray(1)).subarray(12);
}

/** v is 27 or 28, or chain id · 2 + 35 or 36. */
function legacyParity(v: bigint): number {
  return Number(v < 35n ? v - 27n : (v - 35n) % 2n);
}

function signingHash(transaction: Transaction): Buffer {
  const { type, v } = transaction;
  const nonce = integer(transaction.nonce);
  const call: RlpItem[] = [
    integer(transaction.gasLimit),
    transaction.to ?? Buffer.alloc(0),
    integer(transaction.value),
    transaction.input,
  ];
  if (type === 0) {
    const bound = v < 35n ? [] : [integer((v - 35n) / 2n), Buffer.alloc(0), Buffer.alloc(0)];
    return keccak256(encodeRlp([nonce, integer(transaction.gasPrice), ...call, ...bound]));
  }
  const accessList = transaction.accessList.map(({ address, storageKeys }) => [address, [...storageKeys]]);
  const prices =
    type === 1
      ? [integer(transaction.gasPrice)]
      : [integer(transaction.maxPriorityFeePerGas), integer(transaction.maxFeePerGas)];
  if (type !== 1 && type !== 2) throw new RangeError(`transactions of type ${type} can't be verified here`);
  return keccak256(Buffer.of(type), encodeRlp([integer(transaction.chainId), nonce, ...prices, ...call, accessList]));
}

function writeWord(target: Buffer, at: number, value: bigint): void {
  const hex = value.toString(16).padStart(64, '0');
  target.write(hex.slice(-64), at, 'hex');
}
