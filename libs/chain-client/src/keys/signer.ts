import { addressOf } from './secp256k1.js';
import { type LegacyTransaction, type SignedTransaction, signLegacyTransaction } from './transaction.js';

/** Whose key is in this process: signs at once, also while rows are locked. */
export interface LocalSigner {
  readonly remote: false;
  /** 20 bytes. */
  readonly address: Buffer;
  sign(transaction: LegacyTransaction): SignedTransaction;
}

/** Whose key is somewhere else: may take long, refuse or be away. Never asked while rows are locked. */
export interface RemoteSigner {
  readonly remote: true;
  /** 20 bytes. */
  readonly address: Buffer;
  /** @throws SigningError when nothing was signed, or something else than `transaction` was */
  sign(transaction: LegacyTransaction): Promise<SignedTransaction>;
  close(): Promise<void>;
}

/** Who signs the transactions of one account. `await signer.sign(…)` serves both kinds. */
export type Signer = LocalSigner | RemoteSigner;

export function localSigner(key: Uint8Array): LocalSigner {
  return {
    remote: false,
    address: addressOf(key),
    sign: (transaction) => signLegacyTransaction(transaction, key),
  };
}
