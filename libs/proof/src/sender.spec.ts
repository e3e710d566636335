import { Transaction as EthersTransaction, getAddress, Wallet } from 'ethers';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { recoverSender } from './sender.js';
import { encodeTransaction, type Transaction } from './transactions-trie.js';

const wallet = new Wallet(`0x${'17'.repeat(32)}`);
const hex = (text: string) => Buffer.from(text.slice(2), 'hex');

const legacyV = (chainId: bigint, parity: number) =>
  chainId === 0n ? BigInt(27 + parity) : chainId * 2n + BigInt(35 + parity);

/** A transaction signed by ethers, as this library holds it. */
function signed(type: 0 | 1 | 2, chainId: bigint, nonce: number, data: Uint8Array, access: boolean) {
  const made = EthersTransaction.from({
    type,
    chainId,
    nonce,
    gasLimit: 90_000n,
    to: `0x${'2b'.repeat(20)}`,
    value: 5n,
    data: `0x${Buffer.from(data).toString('hex')}`,
    ...(type === 2 ? { maxFeePerGas: 9n, maxPriorityFeePerGas: 2n } : { gasPrice: 7n }),
    ...(type !== 0 && access
      ? { accessList: [{ address: `0x${'3c'.repeat(20)}`, storageKeys: [`0x${'04'.repeat(32)}`] }] }
      : {}),
  });
  made.signature = wallet.signingKey.sign(made.unsignedHash);
  const transaction: Transaction = {
    type,
    chainId,
    nonce: BigInt(nonce),
    gasPrice: type === 2 ? 0n : 7n,
    maxPriorityFeePerGas: 2n,
    maxFeePerGas: 9n,
    gasLimit: 90_000n,
    to: Buffer.alloc(20, 0x2b),
    value: 5n,
    input: data,
    accessList: type !== 0 && access ? [{ address: Buffer.alloc(20, 0x3c), storageKeys: [Buffer.alloc(32, 4)] }] : [],
    v: type === 0 ? legacyV(chainId, made.signature.yParity) : BigInt(made.signature.yParity),
    r: BigInt(made.signature.r),
    s: BigInt(made.signature.s),
  };
  return { transaction, raw: hex(made.serialized) };
}

describe('recoverSender', () => {
  it('finds who signed, for every type of transaction, as ethers does', () => {
    fc.assert(
      fc.property(
        fc.constantFrom<0 | 1 | 2>(0, 1, 2),
        fc.constantFrom(0n, 1n, 7n, 710_001n, 1n << 40n),
        fc.nat(),
        fc.uint8Array({ maxLength: 80 }),
        fc.boolean(),
        (type, chainId, nonce, data, access) => {
          const { transaction, raw } = signed(type, chainId, nonce, data, access);
          expect(encodeTransaction(transaction)).toEqual(raw);
          expect(getAddress(`0x${recoverSender(transaction).toString('hex')}`)).toBe(wallet.address);
        },
      ),
      { numRuns: 60 },
    );
  });

  it('finds somebody else, or nobody, when anything signed is changed', () => {
    const { transaction } = signed(2, 7n, 1, Buffer.from('00', 'hex'), true);
    for (const change of [{ nonce: 2n }, { chainId: 8n }, { value: 6n }, { s: transaction.s - 1n }]) {
      const other = recoverSender({ ...transaction, ...change });
      expect(getAddress(`0x${other.toString('hex')}`), JSON.stringify(Object.keys(change))).not.toBe(wallet.address);
    }
  });
});
