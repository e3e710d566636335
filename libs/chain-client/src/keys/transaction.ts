import { encode } from '@ethereumjs/rlp';
import { keccak256 } from '../../../platform/src/keccak.js';
import { signDigest } from './secp256k1.js';

export interface LegacyTransaction {
  chainId: bigint;
  nonce: bigint;
  /** Wei. */
  gasPrice: bigint;
  gasLimit: bigint;
  /** 20 bytes; undefined creates a contract. */
  to: Buffer | undefined;
  /** Wei, default 0. */
  value?: bigint;
  data: Buffer;
}

export interface SignedTransaction {
  /** What eth_sendRawTransaction takes. */
  raw: Buffer;
  hash: Buffer;
}

/** Signs a legacy (type 0) transaction with replay protection (EIP-155). */
export function signLegacyTransaction(transaction: LegacyTransaction, key: Uint8Array): SignedTransaction {
  const fields = [
    integer(transaction.nonce),
    integer(transaction.gasPrice),
    integer(transaction.gasLimit),
    transaction.to ?? Buffer.alloc(0),
    integer(transaction.value ?? 0n),
    transaction.data,
  ];
  const digest = keccak256(encode([...fields, integer(transaction.chainId), Buffer.alloc(0), Buffer.alloc(0)]));
  const signature = signDigest(key, digest);
  const v = transaction.chainId * 2n + 35n + BigInt(signature[64]! - 27);
  const encoded = encode([
    ...fields,
    integer(v),
    trimmed(signature.subarray(0, 32)),
    trimmed(signature.subarray(32, 64)),
  ]);
  const raw = Buffer.from(encoded.buffer, encoded.byteOffset, encoded.byteLength);
  return { raw, hash: keccak256(raw) };
}

/** RLP integers are big-endian without leading zeros; zero is empty. */
function integer(value: bigint): Buffer {
  if (value === 0n) return Buffer.alloc(0);
  const hex = value.toString(16);
  return Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex');
}

function trimmed(bytes: Buffer): Buffer {
  let start = 0;
  while (start < bytes.length && bytes[start] === 0) start += 1;
  return bytes.subarray(start);
}
