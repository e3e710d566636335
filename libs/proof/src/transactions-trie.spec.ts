import { Transaction as EthersTransaction, Wallet } from 'ethers';
import { describe, expect, it } from 'vitest';
import { toHex } from '../../platform/src/bytes.js';
import { encodeTransaction, type Transaction, transactionHash } from './transactions-trie.js';

const wallet = new Wallet(`0x${'11'.repeat(32)}`);
const storageKeys = [`0x${'22'.repeat(32)}`];

function signed(fields: Parameters<typeof EthersTransaction.from>[0]): EthersTransaction {
  const transaction = EthersTransaction.from(fields);
  transaction.signature = wallet.signingKey.sign(transaction.unsignedHash);
  return transaction;
}

function asRead(oracle: EthersTransaction): Transaction {
  const signature = oracle.signature;
  if (!signature) throw new Error('not signed');
  return {
    type: oracle.type ?? 0,
    chainId: oracle.chainId,
    nonce: BigInt(oracle.nonce),
    gasPrice: oracle.gasPrice ?? 0n,
    maxPriorityFeePerGas: oracle.maxPriorityFeePerGas ?? 0n,
    maxFeePerGas: oracle.maxFeePerGas ?? 0n,
    gasLimit: oracle.gasLimit,
    to: oracle.to === null ? undefined : Buffer.from(oracle.to.slice(2), 'hex'),
    value: oracle.value,
    input: Buffer.from(oracle.data.slice(2), 'hex'),
    accessList: (oracle.accessList ?? []).map(({ address, storageKeys }) => ({
      address: Buffer.from(address.slice(2), 'hex'),
      storageKeys: storageKeys.map((key) => Buffer.from(key.slice(2), 'hex')),
    })),
    v: oracle.type === 0 ? oracle.chainId * 2n + 35n + BigInt(signature.yParity) : BigInt(signature.yParity),
    r: BigInt(signature.r),
    s: BigInt(signature.s),
  };
}

describe('encodeTransaction', () => {
  const common = { chainId: 710_001, nonce: 300, gasLimit: 90_000, value: 0, data: '0x00abcd' };
  const to = wallet.address;
  it.each([
    ['legacy', { ...common, type: 0, gasPrice: 0, to }],
    ['a legacy contract creation', { ...common, type: 0, gasPrice: 7 }],
    ['access list', { ...common, type: 1, gasPrice: 5, to, accessList: [{ address: to, storageKeys }] }],
    ['dynamic fee', { ...common, type: 2, maxFeePerGas: 9, maxPriorityFeePerGas: 1, to, accessList: [] }],
  ])('gives the bytes and hash that ethers gives: %s', (_name, fields) => {
    const oracle = signed(fields);
    const encoded = encodeTransaction(asRead(oracle));
    expect(toHex(encoded)).toBe(oracle.serialized);
    expect(toHex(transactionHash(encoded))).toBe(oracle.hash);
  });

  it('refuses a type it can not encode', () => {
    const oracle = asRead(signed({ ...common, type: 0, gasPrice: 0, to }));
    expect(() => encodeTransaction({ ...oracle, type: 3 })).toThrow(RangeError);
  });
});
