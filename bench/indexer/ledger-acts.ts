import { createHash, randomBytes } from 'node:crypto';
import { addressOf, newKey, signDigest } from '../../libs/chain-client/src/keys/secp256k1.js';
import { signLegacyTransaction } from '../../libs/chain-client/src/keys/transaction.js';
import type { RpcTransport } from '../../libs/chain-client/src/rpc/transport.js';
import { domainSeparator, encodeExecute, type Intent, intentDigest } from '../../libs/contracts/src/intent.codec.js';
import { Operation, Role, transactionGas } from '../../libs/contracts/src/operations.js';
import { parameters } from '../../libs/contracts/src/parameters.js';
import { fromHex, toHex } from '../../libs/platform/src/bytes.js';

/** A deployed ledger and the keys of its one hospital, all of them made for the bench. */
export interface BenchLedger {
  chainId: number;
  contract: string;
  startBlock: number;
  genesisHash: string;
  /** 0x hex, 32 bytes each */
  relayerKey: string;
  registrarKey: string;
}

/** Signed transactions to the ledger, as its hospital's relayer would send them. */
export class LedgerActs {
  readonly records: Buffer[] = [];
  private readonly clinician = newKey();
  private readonly domain: Buffer;
  private readonly relayerKey: Buffer;

  constructor(
    private readonly ledger: BenchLedger,
    /** of the next transaction */
    public nonce: bigint,
  ) {
    this.domain = domainSeparator(BigInt(ledger.chainId), fromHex(ledger.contract));
    this.relayerKey = fromHex(ledger.relayerKey, 32);
  }

  /** How many of the relayer's transactions are mined. */
  async minedNonce(rpc: RpcTransport): Promise<bigint> {
    const address = toHex(addressOf(this.relayerKey));
    return BigInt(await rpc.request<string>('eth_getTransactionCount', [address, 'latest']));
  }

  registerClinician(): string {
    const account = addressOf(this.clinician);
    const given = parameters.registerActor({ account, roles: Role.CLINICIAN, custody: 0 });
    return this.transaction([
      this.intent(Operation.REGISTER_ACTOR, Buffer.alloc(32), given, fromHex(this.ledger.registrarKey, 32)),
    ]);
  }

  /** Opens `count` further records in one transaction. */
  open(count: number): string {
    return this.transaction(
      Array.from({ length: count }, () => {
        const recordId = Buffer.concat([Buffer.of(0, 0, 0, 1), randomBytes(28)]);
        this.records.push(recordId);
        const content = {
          ...{ contentHash: createHash('sha256').update(recordId).digest(), level: 1 },
          ...{ subject: randomBytes(20), origin: Buffer.alloc(32), originBlock: Buffer.alloc(32) },
        };
        return this.intent(Operation.OPEN, recordId, parameters.open(content), this.clinician);
      }),
    );
  }

  /** One transaction of `count` queries. @param gasLimit default: what the acts may use */
  query(count: number, gasLimit?: bigint): string {
    const intents = Array.from({ length: count }, (_, index) => {
      const record = this.records[(Number(this.nonce) * count + index) % this.records.length] as Buffer;
      const values = { version: 1, purpose: 1, ttl: 600, basis: Buffer.alloc(32) };
      return this.intent(Operation.QUERY, record, parameters.query(values), this.clinician);
    });
    return this.transaction(intents, gasLimit);
  }

  private transaction(intents: Intent[], gasLimit = BigInt(transactionGas(intents))): string {
    const signed = signLegacyTransaction(
      {
        ...{ chainId: BigInt(this.ledger.chainId), nonce: this.nonce, gasPrice: 0n, gasLimit },
        ...{ to: fromHex(this.ledger.contract), data: encodeExecute(intents) },
      },
      this.relayerKey,
    );
    this.nonce += 1n;
    return toHex(signed.raw);
  }

  private intent(operation: number, recordId: Buffer, given: Buffer, key: Buffer): Intent {
    const unsigned = {
      ...{ operation, requestId: randomBytes(32), recordId, parameters: given, actor: addressOf(key) },
      ...{ deadline: Math.floor(Date.now() / 1000) + 7 * 86_400, authContext: randomBytes(32) },
    };
    return { ...unsigned, signature: signDigest(key, intentDigest(this.domain, unsigned)) };
  }
}
