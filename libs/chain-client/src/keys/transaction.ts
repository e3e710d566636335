import { decode, encode } from '@ethereumjs/rlp';
import { keccak256 } from '../../../platform/src/keccak.js';
import { isLowS, recover, signDigest } from './secp256k1.js';

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
  const fields = fieldsOf(transaction);
  const digest = digestOf(transaction);
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

/**
 * What somebody else signed, held against what it was asked to sign: every field, and whose signature it is.
 * @param address 20 bytes, who has to have signed
 * @throws RangeError naming what differs; such bytes must not be stored or sent
 */
export function verifySigned(raw: Buffer, transaction: LegacyTransaction, address: Buffer): SignedTransaction {
  const given = readFields(raw);
  const asked = fieldsOf(transaction);
  const differing = FIELDS.filter((_, index) => !asked[index]!.equals(given[index]!));
  if (differing.length > 0) throw new RangeError(`another ${differing.join(', ')} than asked for`);
  const [v, r, s] = given.slice(FIELDS.length) as [Buffer, Buffer, Buffer];
  const recovery = [27, 28].find((bit) => v.equals(integer(transaction.chainId * 2n + 8n + BigInt(bit))));
  if (recovery === undefined) throw new RangeError('a signature for another chain id');
  const signature = Buffer.concat([padded(r), padded(s), Buffer.from([recovery])]);
  // The node takes s of the lower half order only: else anybody could make a second hash of the same transaction.
  if (!isLowS(signature)) throw new RangeError('a signature with s in the upper half order');
  let signer: Buffer;
  try {
    signer = recover(digestOf(transaction), signature);
  } catch (cause) {
    throw new RangeError('no signature', { cause });
  }
  if (!signer.equals(address)) throw new RangeError(`the signature of another account, 0x${signer.toString('hex')}`);
  return { raw, hash: keccak256(raw) };
}

const FIELDS = ['nonce', 'gas price', 'gas limit', 'receiver', 'value', 'data'] as const;

/** In the order of FIELDS, as they are encoded. */
function fieldsOf(transaction: LegacyTransaction): Buffer[] {
  return [
    integer(transaction.nonce),
    integer(transaction.gasPrice),
    integer(transaction.gasLimit),
    transaction.to ?? Buffer.alloc(0),
    integer(transaction.value ?? 0n),
    transaction.data,
  ];
}

function digestOf(transaction: LegacyTransaction): Buffer {
  return keccak256(encode([...fieldsOf(transaction), integer(transaction.chainId), Buffer.alloc(0), Buffer.alloc(0)]));
}

/** FIELDS, v, r and s of a signed legacy transaction. @throws RangeError when it is none */
function readFields(raw: Buffer): Buffer[] {
  if (raw.length === 0 || raw[0]! < 0xc0) throw new RangeError('no legacy transaction');
  let items: unknown;
  try {
    items = decode(raw);
  } catch (cause) {
    throw new RangeError('bytes that are no transaction', { cause });
  }
  if (!Array.isArray(items) || items.length !== FIELDS.length + 3) throw new RangeError('no legacy transaction');
  if (!raw.equals(encode(items))) throw new RangeError('a transaction in another encoding than the shortest');
  return items.map((item) => {
    if (!(item instanceof Uint8Array)) throw new RangeError('no legacy transaction');
    return Buffer.from(item.buffer, item.byteOffset, item.byteLength);
  });
}

/** RLP integers are big-endian without leading zeros; zero is empty. */
function integer(value: bigint): Buffer {
  if (value === 0n) return Buffer.alloc(0);
  const hex = value.toString(16);
  return Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex');
}

/** r and s as 32 bytes. @throws RangeError when they aren't integers of at most that length without leading zeros */
function padded(bytes: Buffer): Buffer {
  if (bytes.length > 32 || bytes[0] === 0) throw new RangeError('no signature');
  return Buffer.concat([Buffer.alloc(32 - bytes.length), bytes]);
}

function trimmed(bytes: Buffer): Buffer {
  let start = 0;
  while (start < bytes.length && bytes[start] === 0) start += 1;
  return bytes.subarray(start);
}
