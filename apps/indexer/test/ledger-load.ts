import { createHash, randomBytes } from 'node:crypto';
import { addressOf, newKey, signDigest } from '../../../libs/chain-client/src/keys/secp256k1.js';
import { signLegacyTransaction } from '../../../libs/chain-client/src/keys/transaction.js';
import { connectRpc, type RpcTransport } from '../../../libs/chain-client/src/rpc/transport.js';
import { domainSeparator, encodeExecute, type Intent, intentDigest } from '../../../libs/contracts/src/intent.codec.js';
import { Operation, Role, transactionGas } from '../../../libs/contracts/src/operations.js';
import { parameters } from '../../../libs/contracts/src/parameters.js';
import { fromHex, toHex } from '../../../libs/platform/src/bytes.js';

export interface LoadTarget {
  rpcUrl: string;
  chainId: number;
  contract: string;
  relayerKey: Buffer;
  registrarKey: Buffer;
  /** of the relayer */
  hospital?: number;
}

/** Acts on the ledger as a hospital's relayer would carry them, without a gateway. */
export class LedgerLoad {
  readonly clinician = newKey();
  readonly records: Buffer[] = [];
  private readonly rpc: RpcTransport;
  private readonly domain: Buffer;
  private nonce = -1n;

  constructor(private readonly target: LoadTarget) {
    this.rpc = connectRpc(target.rpcUrl);
    this.domain = domainSeparator(BigInt(target.chainId), fromHex(target.contract));
  }

  /** Registers the clinician and opens `records` records. */
  async prepare(records: number): Promise<void> {
    const account = addressOf(this.clinician);
    await this.mined([
      this.intent(Operation.REGISTER_ACTOR, {
        key: this.target.registrarKey,
        parameters: parameters.registerActor({ account, roles: Role.CLINICIAN, custody: 0 }),
      }),
    ]);
    const opens = Array.from({ length: records }, () => this.open());
    for (let from = 0; from < opens.length; from += 50) await this.mined(opens.slice(from, from + 50));
  }

  open(): Intent {
    const recordId = Buffer.alloc(32);
    recordId.writeUInt32BE(this.target.hospital ?? 1);
    randomBytes(28).copy(recordId, 4);
    this.records.push(recordId);
    return this.intent(Operation.OPEN, {
      recordId,
      parameters: parameters.open({
        contentHash: createHash('sha256').update(recordId).digest(),
        subject: addressOf(newKey()),
        level: 1,
        origin: Buffer.alloc(32),
        originBlock: Buffer.alloc(32),
      }),
    });
  }

  query(recordId: Buffer): Intent {
    const values = { version: 1, purpose: 1, ttl: 600, basis: Buffer.alloc(32) };
    return this.intent(Operation.QUERY, { recordId, parameters: parameters.query(values) });
  }

  /** `count` queries spread over the records. */
  queries(count: number): Intent[] {
    return Array.from({ length: count }, (_, index) => this.query(this.records[index % this.records.length] as Buffer));
  }

  intent(
    operation: number,
    given: { parameters: Buffer; recordId?: Buffer; key?: Buffer; requestId?: Buffer; forged?: boolean },
  ): Intent {
    const key = given.key ?? this.clinician;
    const unsigned = {
      operation,
      requestId: given.requestId ?? randomBytes(32),
      recordId: given.recordId ?? Buffer.alloc(32),
      parameters: given.parameters,
      actor: addressOf(key),
      deadline: Math.floor(Date.now() / 1000) + 7 * 86_400,
      authContext: randomBytes(32),
    };
    const signature = signDigest(given.forged ? newKey() : key, intentDigest(this.domain, unsigned));
    return { ...unsigned, signature };
  }

  /** Sends one transaction. @returns its hash */
  async send(intents: Intent[]): Promise<string> {
    return this.rpc.request<string>('eth_sendRawTransaction', [toHex(await this.sign(intents))]);
  }

  /**
   * One block of several transactions: the first nonce is sent last, so that none can be mined before all are there. A transaction without
   * intents goes from the relayer to itself.
   * @returns the block's number
   */
  async together(batches: Intent[][]): Promise<bigint> {
    const raws: string[] = [];
    for (const intents of batches) raws.push(toHex(await this.sign(intents)));
    let first = '';
    for (const raw of raws.reverse()) first = await this.rpc.request<string>('eth_sendRawTransaction', [raw]);
    const number = await this.receiptOf(first, 30_000);
    const block = await this.rpc.request<{ transactions: string[] }>('eth_getBlockByNumber', [
      `0x${number.toString(16)}`,
      false,
    ]);
    if (block.transactions.length !== batches.length) {
      throw new Error(`block ${number} has ${block.transactions.length} of ${batches.length} transactions`);
    }
    return number;
  }

  /** Sends one transaction and waits for its receipt. @returns its block's number */
  async mined(intents: Intent[], timeoutMs = 30_000): Promise<bigint> {
    return this.receiptOf(await this.send(intents), timeoutMs);
  }

  /** Once the node's head is there too: geth gives a receipt some milliseconds before its head is the receipt's block. */
  private async receiptOf(hash: string, timeoutMs: number): Promise<bigint> {
    for (const deadline = Date.now() + timeoutMs; Date.now() < deadline; ) {
      const [receipt, head] = await this.rpc
        .batch<unknown>([{ method: 'eth_getTransactionReceipt', params: [hash] }, { method: 'eth_blockNumber' }])
        .catch(() => []);
      const number = BigInt((receipt as { blockNumber: string } | null | undefined)?.blockNumber ?? -1);
      if (number >= 0n && BigInt(head as string) >= number) return number;
      await new Promise((wake) => setTimeout(wake, 10));
    }
    throw new Error(`transaction ${hash} was not mined`);
  }

  /** Reads the nonce anew: after a reorganisation the node has forgotten some. */
  forgetNonce(): void {
    this.nonce = -1n;
  }

  request<T>(method: string, params: unknown[] = []): Promise<T> {
    return this.rpc.request<T>(method, params);
  }

  close(): Promise<void> {
    return this.rpc.close();
  }

  private async sign(intents: Intent[]): Promise<Buffer> {
    if (this.nonce < 0n) this.nonce = await this.nextNonce();
    const { relayerKey, chainId, contract } = this.target;
    const signed = signLegacyTransaction(
      {
        chainId: BigInt(chainId),
        nonce: this.nonce++,
        gasPrice: 0n,
        gasLimit: intents.length > 0 ? BigInt(transactionGas(intents)) : 21_000n,
        to: intents.length > 0 ? fromHex(contract) : addressOf(relayerKey),
        data: intents.length > 0 ? encodeExecute(intents) : Buffer.alloc(0),
      },
      relayerKey,
    );
    return signed.raw;
  }

  private async nextNonce(): Promise<bigint> {
    const address = toHex(addressOf(this.target.relayerKey));
    return BigInt(await this.rpc.request<string>('eth_getTransactionCount', [address, 'latest']));
  }
}
