import { decodeRlp, encodeRlp, SigningKey, Transaction, type TransactionLike, toBeHex } from 'ethers';
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type SigningServer, startSigningServer } from '../../../../test/stack/web3signer.js';
import { encodeExecute } from '../../../contracts/src/intent.codec.js';
import { toHex } from '../../../platform/src/bytes.js';
import { remoteSigner } from './remote.signer.js';
import { addressOf, newKey } from './secp256k1.js';
import type { RemoteSigner } from './signer.js';
import { type LegacyTransaction, signLegacyTransaction, verifySigned } from './transaction.js';

const key = newKey();
const address = addressOf(key);
const asked: LegacyTransaction = {
  chainId: 710_001n,
  nonce: 7n,
  gasPrice: 0n,
  gasLimit: 400_000n,
  to: addressOf(newKey()),
  data: Buffer.from('a call of the ledger'),
};
const ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;

/** Signed by ethers, with some fields other than asked for. */
function signed(change: Partial<TransactionLike> = {}, by = key): string {
  const transaction = Transaction.from({
    ...{ type: 0, chainId: asked.chainId, nonce: Number(asked.nonce), gasPrice: asked.gasPrice },
    ...{ gasLimit: asked.gasLimit, to: toHex(asked.to!), value: 0, data: toHex(asked.data) },
    ...change,
  });
  transaction.signature = new SigningKey(by).sign(transaction.unsignedHash);
  return transaction.serialized;
}

const verify = (hex: string) => verifySigned(Buffer.from(hex.slice(2), 'hex'), asked, address);

describe('verifySigned', () => {
  it('takes what was signed as asked, whatever the numbers', () => {
    const big = (bits: number) => fc.bigInt({ min: 0n, max: (1n << BigInt(bits)) - 1n });
    const bytes = (array: Uint8Array) => Buffer.from(array);
    const transactions = fc.record({
      chainId: fc.bigInt({ min: 1n, max: (1n << 52n) - 1n }),
      ...{ nonce: big(50), gasPrice: big(100), gasLimit: big(60), value: big(200) },
      to: fc.option(fc.uint8Array({ minLength: 20, maxLength: 20 }).map(bytes), { nil: undefined }),
      data: fc.uint8Array({ maxLength: 300 }).map(bytes),
    });
    fc.assert(
      fc.property(transactions, (transaction) => {
        const { raw, hash } = signLegacyTransaction(transaction, key);
        expect(verifySigned(raw, transaction, address)).toEqual({ raw, hash });
      }),
      { numRuns: 60 },
    );
    expect(toHex(verify(signed()).hash)).toBe(Transaction.from(signed()).hash);
  });

  it.each<[string, string]>([
    ['nonce', signed({ nonce: 8 })],
    ['gas price', signed({ gasPrice: 1 })],
    ['gas limit', signed({ gasLimit: 400_001 })],
    ['receiver', signed({ to: toHex(addressOf(newKey())) })],
    ['receiver', signed({ to: null })],
    ['value', signed({ value: 1 })],
    ['data', signed({ data: '0x' })],
    ['another chain id', signed({ chainId: 710_002 })],
    ['another account', signed({}, newKey())],
    ['no legacy transaction', signed({ type: 2, gasPrice: null, maxFeePerGas: 0, maxPriorityFeePerGas: 0 })],
    ['no legacy transaction', '0x'],
    ['no legacy transaction', '0xc0'],
    ['no transaction', signed().slice(0, -2)],
    ['no transaction', `${signed()}00`],
  ])('refuses bytes with another %s', (what, hex) => {
    expect(() => verify(hex)).toThrow(what);
  });

  it('refuses a signature that the node would not take: s in the upper half order', () => {
    // Anybody can turn a signature into this one: −s, and the other parity.
    const fields = decodeRlp(signed()) as string[];
    const [v, r, s] = fields.slice(6).map(BigInt) as [bigint, bigint, bigint];
    const mirrored = [4n * asked.chainId + 71n - v, r, ORDER - s].map((value) => toBeHex(value));
    expect(() => verify(encodeRlp([...fields.slice(0, 6), ...mirrored]))).toThrow('upper half');
  });
});

describe('a remote signer', () => {
  let server: SigningServer;
  let signer: RemoteSigner;

  beforeAll(async () => {
    server = await startSigningServer([key], asked.chainId);
    signer = remoteSigner({ address, url: server.url, kind: 'web3signer', timeoutMs: 300 });
  });
  beforeEach(() => {
    server.answer = undefined;
  });
  afterAll(async () => {
    await signer?.close();
    await server?.close();
  });

  it('gives the bytes that a key of our own would give', async () => {
    expect(await signer.sign(asked)).toEqual(signLegacyTransaction(asked, key));
    expect(server.requests.at(-1)!.params).toHaveLength(1);
  });

  it('takes an object that holds the bytes too, as clef and geth answer', async () => {
    server.answer = (raw) => ({ raw, tx: {} });
    expect(await signer.sign(asked)).toEqual(signLegacyTransaction(asked, key));
  });

  it.each<[string, (raw: string) => unknown]>([
    ['another nonce', () => signed({ nonce: 8 })],
    ['the signature of another account', () => signed({}, newKey())],
    ['no bytes', () => null],
    ['no bytes', () => ({})],
    ['not 0x-prefixed hex', () => 'none'],
  ])('refuses an answer with %s, and says that it is one', async (what, answer) => {
    server.answer = answer;
    await expect(signer.sign(asked)).rejects.toMatchObject({
      ...{ name: 'SigningError', wrongBytes: true },
      message: expect.stringContaining(what),
    });
  });

  it('passes a refusal on, cut short', async () => {
    server.answer = () => {
      throw new Error(`Request denied ${'x'.repeat(1000)}`);
    };
    const error = await signer.sign(asked).catch((cause) => cause);
    expect(error).toMatchObject({ name: 'SigningError', wrongBytes: false });
    expect(error.message).toContain('Request denied');
    expect(error.message.length).toBeLessThan(400);
  });

  it('waits for no answer longer than it was told to', async () => {
    server.answer = () => new Promise(() => undefined);
    await expect(signer.sign(asked)).rejects.toThrow('within 300 ms');
  });

  it('names neither password nor address of a signer that is away', async () => {
    const away = remoteSigner({ address, url: 'http://user:secret-word@127.0.0.1:1/path', kind: 'clef' });
    const error = await away.sign(asked).catch((cause) => cause);
    await away.close();
    const said = `${error.stack} ${error.cause?.stack} ${error.cause?.cause?.stack}`;
    expect(said).toContain('ECONNREFUSED');
    expect(said).not.toMatch(/secret-word|user:/);
  });

  it('tells clef which method is called, so that it can read the calldata', async () => {
    const clef = remoteSigner({ address, url: server.url, kind: 'clef' });
    await clef.sign({ ...asked, data: encodeExecute([]) }).catch(() => undefined);
    await clef.sign(asked).catch(() => undefined);
    await clef.close();
    const [execute, other] = server.requests.slice(-2);
    expect(execute).toMatchObject({
      method: 'account_signTransaction',
      params: [{ nonce: '0x7' }, expect.stringMatching(/^execute\(/)],
    });
    expect(other!.params).toHaveLength(1);
  });
});
