import { getAddress } from 'ethers';
import { EXECUTE, executeSelector } from '../../../contracts/src/intent.codec.js';
import { fromHex, toHex } from '../../../platform/src/bytes.js';
import { connectRpc } from '../rpc/transport.js';
import type { RemoteSigner } from './signer.js';
import { type LegacyTransaction, type SignedTransaction, verifySigned } from './transaction.js';

/** Whose JSON-RPC it speaks. */
export type RemoteSignerKind = 'clef' | 'web3signer';

export interface RemoteSignerOptions {
  /** 20 bytes; whatever else the signer holds isn't asked for. */
  address: Buffer;
  /** http(s)://, or the path of an IPC socket. May hold a password, so it belongs into no log. */
  url: string;
  kind: RemoteSignerKind;
  /** How long it may take over one transaction, default 10,000 ms. */
  timeoutMs?: number;
}

/** No usable signature came back. Nothing was stored or sent, so that asking again is safe. */
export class SigningError extends Error {
  /** @param wrongBytes true: it answered, with something else than it was asked to sign */
  constructor(
    message: string,
    readonly wrongBytes: boolean,
    cause: unknown,
  ) {
    super(message, { cause });
    this.name = 'SigningError';
  }
}

const METHODS: Readonly<Record<RemoteSignerKind, string>> = {
  clef: 'account_signTransaction',
  web3signer: 'eth_signTransaction',
};

/** An account whose key is held by a clef or web3signer. What it answers is held against what it was asked, field by field. */
export function remoteSigner(options: RemoteSignerOptions): RemoteSigner {
  const { address, kind, timeoutMs } = options;
  const rpc = connectRpc(options.url, timeoutMs === undefined ? {} : { timeoutMs });
  const method = METHODS[kind];
  return {
    remote: true,
    address,
    sign: async (transaction) => {
      const answer = await rpc.request<unknown>(method, parametersOf(kind, address, transaction)).catch((cause) => {
        throw new SigningError(`The ${kind} of ${toHex(address)} signed nothing: ${reasonOf(cause)}`, false, cause);
      });
      return verified(kind, answer, transaction, address);
    },
    close: () => rpc.close(),
  };
}

function verified(
  kind: RemoteSignerKind,
  answer: unknown,
  transaction: LegacyTransaction,
  address: Buffer,
): SignedTransaction {
  try {
    return verifySigned(rawOf(answer), transaction, address);
  } catch (cause) {
    const message = `The ${kind} of ${toHex(address)} answered ${reasonOf(cause)}. Its answer was thrown away.`;
    throw new SigningError(message, true, cause);
  }
}

/** web3signer answers with the bytes alone, clef (and geth) with an object that holds them. */
function rawOf(answer: unknown): Buffer {
  const raw = typeof answer === 'object' && answer !== null ? (answer as { raw?: unknown }).raw : answer;
  if (typeof raw !== 'string') throw new RangeError('no bytes');
  return fromHex(raw);
}

function parametersOf(kind: RemoteSignerKind, address: Buffer, transaction: LegacyTransaction): unknown[] {
  const { to, data } = transaction;
  const fields = {
    // With checksums: clef takes an address without one for a mistake.
    from: getAddress(toHex(address)),
    ...(to === undefined ? {} : { to: getAddress(toHex(to)) }),
    gas: quantity(transaction.gasLimit),
    gasPrice: quantity(transaction.gasPrice),
    value: quantity(transaction.value ?? 0n),
    nonce: quantity(transaction.nonce),
    data: toHex(data),
    chainId: quantity(transaction.chainId),
  };
  // clef refuses calldata it can't read; what it needs for that is the method's signature. web3signer takes one parameter alone.
  const known = kind === 'clef' && data.subarray(0, executeSelector.length).equals(executeSelector);
  return known ? [fields, EXECUTE] : [fields];
}

function quantity(value: bigint): string {
  return `0x${value.toString(16)}`;
}

/** Short: a refusal may quote the whole calldata. */
function reasonOf(cause: unknown): string {
  return (cause instanceof Error ? cause.message : String(cause)).slice(0, 200);
}
